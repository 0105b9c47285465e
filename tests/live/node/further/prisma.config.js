// The engine that is part of the package: the other one would be fetched from elsewhere.
const { PrismaPg } = require('@prisma/adapter-pg');
module.exports = { experimental: { adapter: true }, engine: 'js', schema: './schema.prisma', adapter: async () => new PrismaPg({ connectionString: process.env.URL }) };
