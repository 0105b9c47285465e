local env = require('luasql.postgres').postgres()
local c = assert(env:connect('app', 'app', '', os.getenv('PGHOST'), os.getenv('PGPORT')))
assert(c:execute('CREATE TABLE lua_t(id serial PRIMARY KEY, v text UNIQUE, n numeric)'))
for i = 1, 20 do print(c:execute(("INSERT INTO lua_t(v, n) VALUES('%s', %d)"):format(c:escape("it's " .. i), i))) end
c:setautocommit(false)
print(c:execute("UPDATE lua_t SET n = n + 1")); c:rollback()
print(c:execute("UPDATE lua_t SET n = n + 2 WHERE id < 3")); c:commit()
print(c:execute("INSERT INTO lua_t(v) VALUES('it''s 1')")); c:rollback()
c:setautocommit(true)
local cur = c:execute('SELECT id, v, n FROM lua_t ORDER BY id')
print(table.concat(cur:getcolnames(), ','), table.concat(cur:getcoltypes(), ','), cur:numrows())
local row = cur:fetch({}, 'a')
while row do print(row.id, row.v, row.n); row = cur:fetch(row, 'a') end
cur:close()
print(c:execute('SELECT 1/0'))
for i = 1, 30 do local q = c:execute('SELECT ' .. i .. ' + 1'); assert(q:fetch() == tostring(i + 1)); q:close() end
c:execute('DROP TABLE lua_t')
c:close() env:close()
print 'well'
