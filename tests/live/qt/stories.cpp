#include <QCoreApplication>
#include <QtSql>
#include <cstdio>
#define must(x) do { if (!(x)) { printf("wrong at %d\n", __LINE__); return 1; } } while (0)
static QSqlDatabase open(const char *name, const char *options)
{
	QSqlDatabase db = QSqlDatabase::addDatabase("QPSQL", name);
	db.setHostName(qEnvironmentVariable("PGHOST")); db.setPort(qEnvironmentVariableIntValue("PGPORT")); db.setUserName("app"); db.setDatabaseName("app");
	db.setConnectOptions(options);
	if (!db.open()) printf("%s\n", qPrintable(db.lastError().text()));
	return db;
}
int main(int argc, char **argv)
{
	QCoreApplication app(argc, argv);
	QSqlDatabase db = open("one", "connect_timeout=20;sslmode=disable"), two = open("two", "options='-c statement_timeout=400';sslmode=disable");
	QSqlQuery q(db);
	must(q.exec("CREATE TABLE qt_t(id serial PRIMARY KEY, v text UNIQUE, b bytea, at timestamptz, n numeric)"));
	must(q.prepare("INSERT INTO qt_t(v, b, at, n) VALUES (:v, :b, :at, :n)"));
	for (int i = 0; i < 20; i++) { q.bindValue(":v", QString::fromUtf8("grün's \\ %1").arg(i)); q.bindValue(":b", QByteArray("\0\xff\\", 3)); q.bindValue(":at", QDateTime::fromSecsSinceEpoch(86400 * i, Qt::UTC)); q.bindValue(":n", i / 4.0); must(q.exec()); must(q.lastInsertId().toInt() == i + 1); }
	QVariantList names; for (int i = 0; i < 20; i++) names << QString("batch %1").arg(i);
	must(q.prepare("INSERT INTO qt_t(v) VALUES (?)")); q.addBindValue(names); must(q.execBatch());
	q.setForwardOnly(true); must(q.exec("SELECT v, b, at, n FROM qt_t ORDER BY id LIMIT 3"));
	while (q.next()) printf("%s %s %s %s\n", qPrintable(q.value(0).toString()), q.value(1).toByteArray().toHex().data(), qPrintable(q.value(2).toDateTime().toUTC().toString(Qt::ISODate)), qPrintable(q.value(3).toString()));
	must(!q.exec("INSERT INTO qt_t(v) VALUES('batch 1')")); printf("%s %s\n", qPrintable(q.lastError().nativeErrorCode()), qPrintable(q.lastError().databaseText()));
	must(db.transaction()); must(q.exec("DELETE FROM qt_t")); must(db.rollback());
	must(db.transaction()); must(q.exec("UPDATE qt_t SET n = 1")); printf("%d\n", q.numRowsAffected()); must(db.commit());
	QSqlQuery t(two); must(!t.exec("SELECT pg_sleep(5)")); printf("%s\n", qPrintable(t.lastError().nativeErrorCode()));
	must(t.prepare("SELECT v FROM qt_t WHERE id = ?")); for (int i = 1; i < 20; i++) { t.addBindValue(i); must(t.exec() && t.next()); t.finish(); }
	t.clear();
	printf("%s\n", db.tables().contains("qt_t") ? "found" : "not found"); QSqlRecord r = db.record("qt_t"); for (int i = 0; i < r.count(); i++) printf("%s:%d ", qPrintable(r.fieldName(i)), (int)r.field(i).type()); printf("%s\n", qPrintable(db.primaryIndex("qt_t").fieldName(0)));
	QSqlTableModel model(nullptr, db); model.setTable("qt_t"); model.setEditStrategy(QSqlTableModel::OnManualSubmit); must(model.select()); printf("%d rows\n", model.rowCount()); model.setData(model.index(0, 1), "changed"); must(model.submitAll());
	must(db.driver()->subscribeToNotification("qt_said")); QString heard;
	QObject::connect(db.driver(), QOverload<const QString &, QSqlDriver::NotificationSource, const QVariant &>::of(&QSqlDriver::notification), [&](const QString &n, QSqlDriver::NotificationSource, const QVariant &p) { heard = n + " " + p.toString(); });
	must(t.exec("NOTIFY qt_said, 'high'")); for (int i = 0; i < 200 && heard.isEmpty(); i++) { QThread::msleep(20); app.processEvents(); } printf("%s\n", qPrintable(heard));
	must(db.driver()->unsubscribeFromNotification("qt_said"));
	q.clear(); must(QSqlQuery(db).exec("DROP TABLE qt_t")); printf("well\n");
	return 0;
}
