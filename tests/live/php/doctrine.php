<?php
require 'Doctrine/DBAL/autoload.php';
use Doctrine\DBAL\{DriverManager, ParameterType, Connection, TransactionIsolationLevel};
foreach ([$argv[1]] as $driver) {
  try {
  $c = DriverManager::getConnection(['driver' => $driver, 'host' => getenv('PGHOST'), 'port' => (int)getenv('PGPORT'), 'user' => 'app', 'dbname' => 'app', 'charset' => 'UTF8', 'sslmode' => 'disable', 'application_name' => "doctrine_$driver"]);
  $m = $c->createSchemaManager();
  $schema = new Doctrine\DBAL\Schema\Schema(); $t = $schema->createTable('doctrine_t'); $t->addColumn('id', 'integer', ['autoincrement' => true]); $t->addColumn('v', 'string', ['length' => 40]); $t->addColumn('j', 'json', ['notnull' => false]); $t->addColumn('b', 'blob', ['notnull' => false]); $t->addColumn('f', 'boolean'); $t->setPrimaryKey(['id']); $t->addUniqueIndex(['v'], 'doctrine_v');
  foreach ($schema->toSql($c->getDatabasePlatform()) as $sql) { $c->executeStatement($sql); }
  $c->insert('doctrine_t', ['v' => 'grün', 'j' => ['a' => 1], 'b' => "\0\xff", 'f' => true], ['j' => 'json', 'b' => 'blob', 'f' => 'boolean']);
  echo $c->lastInsertId(), "\n";
  for ($i = 0; $i < 30; $i++) $c->transactional(function ($c) use ($i) { $c->insert('doctrine_t', ['v' => "v$i", 'f' => false], ['f' => 'boolean']); });
  $s = $c->prepare('SELECT id, v FROM doctrine_t WHERE v = ?');
  for ($i = 0; $i < 60; $i++) { $s->bindValue(1, 'v' . $i % 30); echo json_encode($s->executeQuery()->fetchAssociative()); }
  echo "\n", json_encode($c->fetchAllAssociative('SELECT id FROM doctrine_t WHERE id IN (:ids) AND f = :f', ['ids' => [1, 2, 3], 'f' => 'f'], ['ids' => Connection::PARAM_INT_ARRAY])), "\n";
  $c->setNestTransactionsWithSavepoints(true);
  $c->beginTransaction(); $c->executeStatement('DELETE FROM doctrine_t');
  $c->beginTransaction(); try { $c->executeStatement('SELECT 1/0'); } catch (Exception $e) { echo get_class($e), $e->getMessage(), "\n"; } $c->rollBack();
  echo $c->fetchOne('SELECT count(*) FROM doctrine_t'), "\n"; $c->rollBack();
  try { $c->insert('doctrine_t', ['v' => 'v1', 'f' => false], ['f' => 'boolean']); } catch (Doctrine\DBAL\Exception\UniqueConstraintViolationException $e) { echo $e->getSQLState(), "\n"; }
  $c->setTransactionIsolation(TransactionIsolationLevel::SERIALIZABLE); echo $c->fetchOne('SHOW default_transaction_isolation'), "\n";
  foreach ($m->listTableColumns('doctrine_t') as $col) echo $col->getName(), ' ', $col->getType()->getName(), ' '; $names = array_map(fn($ix) => $ix->getName(), $m->listTableIndexes('doctrine_t')); sort($names); echo implode(' ', $names); echo "\n";
  $n = 0; foreach ($c->iterateColumn('SELECT generate_series(1, 500)') as $x) $n += $x; echo $n, "\n";
  echo $c->createQueryBuilder()->select('max(v)')->from('doctrine_t')->where('f = :f')->setParameter('f', 'f')->executeQuery()->fetchOne(), "\n";
  } catch (Throwable $e) { echo "FAILED ", get_class($e), ' ', $e->getMessage(), ' ', $e->getLine(), "\n"; }
  try { $c->executeStatement('DROP TABLE IF EXISTS doctrine_t'); unset($s); $c->close(); } catch (Throwable $e) { echo $e->getMessage(); }
}
echo "well\n";
