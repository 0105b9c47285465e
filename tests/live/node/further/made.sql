-- CreateEnum
CREATE TYPE "Kind" AS ENUM ('BERTH', 'QUAY', 'LOCK');

-- CreateTable
CREATE TABLE "Harbour" (
    "id" SERIAL NOT NULL,
    "name" TEXT NOT NULL,
    "kind" "Kind" NOT NULL DEFAULT 'QUAY',
    "opened" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "depth" DECIMAL(10,2) NOT NULL,
    "tags" TEXT[],
    "extra" JSONB,
    "mark" BYTEA,
    "big" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "Harbour_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Ship" (
    "id" SERIAL NOT NULL,
    "name" TEXT NOT NULL,
    "length" INTEGER NOT NULL DEFAULT 0,
    "harbourId" INTEGER,

    CONSTRAINT "Ship_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Cargo" (
    "id" SERIAL NOT NULL,
    "what" TEXT NOT NULL,

    CONSTRAINT "Cargo_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "_CargoToShip" (
    "A" INTEGER NOT NULL,
    "B" INTEGER NOT NULL,

    CONSTRAINT "_CargoToShip_AB_pkey" PRIMARY KEY ("A","B")
);

-- CreateIndex
CREATE UNIQUE INDEX "Harbour_name_key" ON "Harbour"("name");

-- CreateIndex
CREATE INDEX "_CargoToShip_B_index" ON "_CargoToShip"("B");

-- AddForeignKey
ALTER TABLE "Ship" ADD CONSTRAINT "Ship_harbourId_fkey" FOREIGN KEY ("harbourId") REFERENCES "Harbour"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_CargoToShip" ADD CONSTRAINT "_CargoToShip_A_fkey" FOREIGN KEY ("A") REFERENCES "Cargo"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "_CargoToShip" ADD CONSTRAINT "_CargoToShip_B_fkey" FOREIGN KEY ("B") REFERENCES "Ship"("id") ON DELETE CASCADE ON UPDATE CASCADE;

