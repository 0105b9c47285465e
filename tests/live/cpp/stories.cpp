// libpqxx, C++'s own, through a pooler: its pipeline, COPY, cursors, prepared statements, nested transactions. Prints `ok NAME` or
// `not ok NAME: why` for each claim, and `servers N`: on how many servers its statements ran. PG* variables say where.
#include <iostream>
#include <pqxx/pqxx>
#include <set>
#include <thread>

static std::set<int> servers;

static void must(bool is, const char *what)
{
	if (!is)
		throw std::runtime_error(what);
}
#define MUST(is) must(is, #is)

template <typename Error, typename Work> static void fails(Work work)
{
	try {
		work();
	} catch (const Error &) {
		return;
	}
	throw std::runtime_error("no error");
}

static void parameters_arrive(pqxx::connection &c)
{
	c.prepare("sum", "SELECT pg_backend_pid(), $1::int + 1, $2::text, $3::text");
	for (int n = 0; n < 40; n++) {
		pqxx::work w(c);
		auto row = w.exec_prepared1("sum", n, "grün", nullptr);
		servers.insert(row[0].as<int>());
		MUST(row[1].as<int>() == n + 1 && row[2].as<std::string>() == "grün" && row[3].is_null());
		MUST(w.exec_params1("SELECT $1::int", n)[0].as<int>() == n);
		w.commit();
		std::this_thread::sleep_for(std::chrono::milliseconds(2));
	}
	c.unprepare("sum");
}

static void a_transaction_is_taken_back(pqxx::connection &c)
{
	{
		pqxx::work w(c);
		w.exec("INSERT INTO piers VALUES (1, 'a')");
	}
	pqxx::work w(c);
	w.exec("INSERT INTO piers VALUES (2, 'b')");
	{
		pqxx::subtransaction s(w, "deeper");
		s.exec("INSERT INTO piers VALUES (3, 'c')");
	}
	fails<pqxx::unique_violation>([&] {
		pqxx::subtransaction s(w, "twice");
		s.exec("INSERT INTO piers VALUES (2, 'b')");
	});
	w.commit();
	pqxx::nontransaction n(c);
	MUST(n.exec1("SELECT array_agg(id) FROM piers")[0].as<std::string>() == "{2}");
}

static void a_pipeline_is_answered_in_order(pqxx::connection &c)
{
	pqxx::work w(c);
	pqxx::pipeline p(w);
	std::vector<pqxx::pipeline::query_id> asked;
	p.retain(10);
	for (int n = 0; n < 50; n++)
		asked.push_back(p.insert("SELECT " + std::to_string(n)));
	for (int n = 0; n < 50; n++)
		MUST(p.retrieve(asked[n])[0][0].as<int>() == n);
}

static void an_error_ends_its_pipeline(pqxx::connection &c)
{
	fails<pqxx::sql_error>([&] {
		pqxx::work w(c);
		pqxx::pipeline p(w);
		p.insert("SELECT 1");
		auto bad = p.insert("SELECT 1/0");
		p.insert("SELECT 2");
		p.retrieve(bad);
	});
	pqxx::work w(c);
	MUST(w.exec1("SELECT 7")[0].as<int>() == 7);
}

static void a_stream_goes_in(pqxx::connection &c)
{
	pqxx::work w(c);
	w.exec("DELETE FROM piers");
	pqxx::stream_to to(w, "piers", std::vector<std::string>{"id", "v"});
	for (int n = 0; n < 1000; n++)
		to << std::make_tuple(n, "v" + std::to_string(n));
	to.complete();
	MUST(w.exec1("SELECT count(*) FROM piers WHERE v = 'v' || id")[0].as<int>() == 1000);
	w.commit();
}

static void a_cursor_is_read_in_parts(pqxx::connection &c)
{
	pqxx::work w(c);
	pqxx::stateless_cursor<pqxx::cursor_base::read_only, pqxx::cursor_base::owned> cursor(w, "SELECT generate_series(1, 95)", "tide", false);
	int seen = 0;
	for (int n = 0; n < 95; n += 10)
		seen += cursor.retrieve(n, n + 10).size();
	MUST(seen == 95);
	pqxx::icursorstream s(w, "SELECT generate_series(1, 95)", "ebb", 20);
	pqxx::result r;
	for (seen = 0; s >> r && !r.empty(); seen += r.size())
		;
	MUST(seen == 95);
}

static void a_cancel_ends_what_runs(pqxx::connection &c)
{
	std::thread later([&] {
		std::this_thread::sleep_for(std::chrono::milliseconds(200));
		c.cancel_query();
	});
	fails<pqxx::sql_error>([&] {
		pqxx::nontransaction n(c);
		n.exec("SELECT pg_sleep(30)");
	});
	later.join();
}

struct ear : pqxx::notification_receiver {
	std::string heard;
	ear(pqxx::connection &c) : notification_receiver(c, "piers") {}
	void operator()(const std::string &said, int) override { heard += said; }
};

static void notifications_come(pqxx::connection &c)
{
	pqxx::connection other;
	ear e(c);
	for (const char *word : {"one", "two", "three"})
		pqxx::nontransaction(other).exec_params("SELECT pg_notify('piers', $1)", word);
	for (int n = 0; n < 50 && e.heard.size() < 11; n++)
		c.await_notification(0, 200000);
	MUST(e.heard == "onetwothree");
}

static void settings_are_its_own(pqxx::connection &c)
{
	c.set_variable("TimeZone", "'Asia/Tokyo'");
	c.set_client_encoding("LATIN1");
	for (int n = 0; n < 20; n++) {
		pqxx::work w(c);
		MUST(w.exec1("SHOW TimeZone")[0].as<std::string>() == "Asia/Tokyo");
		MUST(w.exec1("SELECT chr(252)")[0].as<std::string>() == "\xfc");
		w.commit();
	}
	c.set_client_encoding("UTF8");
	pqxx::nontransaction(c).exec("RESET ALL");
}

static void a_robust_transaction_is_done_once(pqxx::connection &c)
{
	for (int n = 0; n < 5; n++)
		pqxx::perform([&] {
			pqxx::robusttransaction<> w(c);
			w.exec("INSERT INTO piers VALUES (" + std::to_string(5000 + n) + ", 'robust')");
			w.commit();
		});
	pqxx::nontransaction n(c);
	MUST(n.exec1("SELECT count(*) FROM piers WHERE v = 'robust'")[0].as<int>() == 5);
}

int main()
{
	pqxx::connection c;
	{
		pqxx::nontransaction n(c);
		n.exec("SET client_min_messages = error");
		n.exec("DROP TABLE IF EXISTS piers");
		n.exec("CREATE TABLE piers(id int PRIMARY KEY, v text)");
	}
#define TELL(story) \
	try { \
		story(c); \
		std::cout << "ok " #story "\n" << std::flush; \
	} catch (const std::exception &e) { \
		std::cout << "not ok " #story ": " << e.what() << "\n" << std::flush; \
	}
	TELL(parameters_arrive)
	TELL(a_transaction_is_taken_back)
	TELL(a_pipeline_is_answered_in_order)
	TELL(an_error_ends_its_pipeline)
	TELL(a_stream_goes_in)
	TELL(a_cursor_is_read_in_parts)
	TELL(a_cancel_ends_what_runs)
	TELL(notifications_come)
	TELL(settings_are_its_own)
	TELL(a_robust_transaction_is_done_once)
	pqxx::nontransaction(c).exec("DROP TABLE piers");
	std::cout << "servers " << servers.size() << "\n";
}
