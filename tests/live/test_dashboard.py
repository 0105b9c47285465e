"""The dashboard in a real browser (headless Chromium) while a leak is under way."""
import contextlib
import json

import wire
from browser import ADMIN, USERS, chromium, http_settings, leak, log_in
from harness import Pooler, Story, takes, wait_until

NASTY = '<img src=x onerror="window.owned=1">'
DIRECTED = "pay\u202egnp.exe\x1b[31m"
NASTY_DATABASE = "<b>bold</b>"
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Down": "\ue015", "Up": "\ue013", "Left": "\ue012", "End": "\ue010", "Tab": "\ue004"}

# Of every element that has a text of its own: is it at least 4.5 times as light as its ground, or as dark (WCAG 2.1, 1.4.3)?
TOO_FAINT = """
const light = (colour) => {
	const [r, g, b] = colour.map((each) => (each /= 255) <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (element) => {
	for (; element; element = element.parentElement) {
		const colour = numbers(getComputedStyle(element).backgroundColor);
		if (colour.length < 4 || colour[3] === 1)
			return colour.slice(0, 3);
	}
	return [255, 255, 255];
};
return [...document.querySelectorAll('body *')].filter((element) => element.checkVisibility() && !element.closest('svg') &&
	[...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).map((element) => {
	const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
	return [(a + 0.05) / (b + 0.05), element.textContent, element.className];
}).filter(([ratio]) => ratio < 4.5);
"""


class Dashboard(Story):
    kinds = ("pgweir",)

    def _pooler(self, databases=None, **settings):
        self.port, settings = http_settings(leak_hold=0.8, leak_quiet=0.5, **{"default_pool_size": 4, **settings})
        pooler = self.keep(Pooler(settings=settings, userlist=USERS, databases=databases))
        pooler.start()
        return pooler

    @contextlib.contextmanager
    def _page(self, **looks):
        """Logged in. At the end: no script has failed, and nothing was tried that the policy forbids."""
        with chromium(**looks) as self.driver:
            log_in(self.driver, self.port)
            self._shows("link", "live")
            yield self.driver
            self._nothing_went_wrong()

    def _nothing_went_wrong(self):
        # What the server refuses and connections that fail are of source "network": tests do both on purpose.
        wrong = [entry for entry in self.driver.get_log("browser") if entry["source"] != "network" or "ecurity" in entry["message"]]
        self.assertEqual([], wrong)

    def _text(self, place):
        return self.driver.execute_script("return document.getElementById(arguments[0]).textContent", place)

    def _shows(self, place, *words, timeout=20):
        seen = [""]

        def there():
            seen[0] = self._text(place)
            return all(word in seen[0] for word in words)
        try:
            wait_until(f"{place} shows {words}", there, timeout=timeout)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{seen[0]}") from None
        return seen[0]

    def _figures(self):
        return self.driver.execute_script("return Object.fromEntries([...document.querySelectorAll('#figures > div')].map((each) => "
                                          "[each.querySelector('dt').textContent, each.querySelector('b').textContent]))")

    def _rows(self, panel):
        """A table as people see it: a list of {title: text}."""
        return self.driver.execute_script("""
            const titles = [...document.querySelectorAll(`#${arguments[0]} th`)].map((each) => each.textContent);
            return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)].map((row) =>
                Object.fromEntries([...row.children].map((cell, i) => [titles[i], cell.textContent])));""", panel)

    def _press(self, *keys):
        for key in keys:
            self.driver.switch_to.active_element.send_keys(KEYS.get(key, key))

    def _focus(self):
        return self.driver.execute_script("const at = document.activeElement; return at.closest('.panel')?.id ?? at.id ?? at.tagName")

    # What it says

    @takes(120)
    def the_first_line_says_who_waits_for_whom_and_the_figures_are_the_console_s(self):
        pooler = self._pooler(default_pool_size=5)
        leak(pooler, holders=4, waiters=3)
        for number in range(12):
            pooler.client(parameters={"application_name": f"rests-{number}"})
        with self._page():
            self._shows("sentence", "3 clients wait for servers of app; web@127.0.0.1 holds 4 of 5, idle in transaction for ")
            found = wait_until("a leak is named", lambda: pooler.show("LEAKS"))[0]
            self._shows("cure", found["pattern"], found["cure"])

            def agrees():
                pool, figures = pooler.pool(), self._figures()
                row = self._rows("pools")[0]
                return (figures["waiting"], figures["lent"], figures["idle"], figures["leaks"]) == (
                    str(pool["cl_waiting"]), str(pool["sv_active"]), str(pool["sv_idle"]), "1") and (
                    row["lent"], row["waiting"], row["clients"]) == (f"{pool['sv_active']}/5", str(pool["cl_waiting"]), str(pool["cl_total"]))
            wait_until("page and console agree", agrees)
            shown, told = self._rows("leases"), pooler.show("LEASES")
            self.assertEqual(sorted(each["state"] for each in told), sorted(each["state"] for each in shown))
            self.assertEqual({each["statement"] for each in told}, {each["statement"] for each in shown})
            origins = {each["application_name"]: each for each in pooler.show("ORIGINS")}

            def holds():
                rows = {each["origin"]: each for each in self._rows("origins")}
                return rows.get("leak web@127.0.0.1", {}).get("lent") == origins["web"]["lent"]
            wait_until("origins agree", holds)
            wait_until("who waits stands above who rests", lambda: [each["origin"] for each in self._rows("origins")][:3] == [
                "leak web@127.0.0.1", "reports@127.0.0.1", "shop@127.0.0.1"])
            # The holders go, and with them what was wrong.
            for client in pooler.clients[:4]:
                client.drop()
            self._shows("sentence", "Nobody waits")
            wait_until("nobody waits in the figures", lambda: self._figures()["waiting"] == "0")

    @takes(120)
    def charts_move_and_tell_a_moment(self):
        pooler = self._pooler(default_pool_size=3)
        with self._page():
            most = "return Number(document.querySelector('#charts svg[role=img]').dataset.most)"
            self.assertEqual(0, self.driver.execute_script(most))
            waiting = leak(pooler, holders=2, waiters=4)
            wait_until("the chart shows them", lambda: self.driver.execute_script(most) == 4)
            line = "return document.querySelector('#charts .line.waits').getAttribute('d')"
            before = self.driver.execute_script(line)
            wait_until("it moves", lambda: self.driver.execute_script(line) != before)
            wait_until("samples come home", lambda: self.driver.execute_script(line).count("L") >= 1, timeout=40)
            self.driver.execute_script("document.getElementById('charts').focus()")
            self._press("Left", "Left")
            self.assertIn(" at ", self._text("charts"))
            for client in waiting:
                client.drop()
            wait_until("they are gone", lambda: self._figures()["waiting"] == "0")
            self.assertEqual(4, self.driver.execute_script(most))

    @takes(60)
    def charts_show_the_server_s_samples_of_the_time_that_the_page_was_away(self):
        self._pooler()
        with self._page() as driver:
            points = driver.execute_async_script("""
                const done = arguments[0], ten = [1000, 1010, 1020, 1030, 1040], five = [5, 5, 5, 5, 5];
                import('/charts.js').then(({ Charts }) => {
                    const place = document.createElement('div'), charts = new Charts(place);
                    const look = (time) => {
                        charts.update({ times: ten }, { waiting: five, lent: five, idle: five }, { time, waiting: 1, lent: 1, idle: 1 }, 'x');
                        return place.querySelector('.line.waits').getAttribute('d').split(/[ML]/).length - 1;
                    };
                    done([1005, 1006, 1050].map(look));
                });""")
            self.assertEqual([2, 3, 6], points)

    @takes(120)
    def names_of_strangers_are_text_and_nothing_of_them_runs(self):
        pooler = self._pooler(default_pool_size=2, databases={"app": "dbname=app", f"'{NASTY_DATABASE}'": "dbname=app"})
        for name in (NASTY, DIRECTED):
            client = pooler.client(parameters={"application_name": name})
            client.query("BEGIN")
            client.query("SELECT 1 AS \"<script>window.owned=2</script>\" /*route='%3Cimg src=x onerror=window.owned=3%3E',job='\u202e\x1b[2J'*/")
        pooler.client(database=NASTY_DATABASE, parameters={"application_name": "x"}).query("SELECT 1")
        pooler.client(parameters={"application_name": NASTY}).send(wire.query("SELECT 2"))
        with self._page() as driver:
            wait_until("leaks are shown", lambda: len(self._rows("leaks")) >= 1)
            wait_until("all leases are shown", lambda: len(self._rows("leases")) == 2)
            names = {each["origin"] for each in self._rows("leases")}
            self.assertTrue(any(NASTY in name for name in names), names)
            page = driver.execute_script("return document.body.textContent")
            self.assertNotIn("\u202e", page)
            self.assertNotIn("\x1b", page)
            self.assertIn("u{202e}", page)
            self.assertIn(f"{NASTY_DATABASE}/app", {each["pool"] for each in self._rows("pools")})
            for number in "1245":
                self._press(number, "Enter")
                wait_until("details are open", lambda: driver.execute_script("return document.getElementById('details').open"))
                if number != "5":
                    self.assertIn("<script>", self._text("details"))
                if number == "2":
                    self._shows("details", "By process (1)", "By route (1)", "<img src=x onerror=window.owned=3>: 1 client", "idle in transaction, the longest for",
                                "By job (1)")
                self.assertEqual(0, driver.execute_script("return document.querySelectorAll('#details img, #details b, #details script').length"))
                if number == "4":
                    self._shows("details", "Who waits", f'"{NASTY}" at 127.0.0.1')
                self._press("Escape")
            self.assertEqual([0, None], driver.execute_script(
                "return [document.querySelectorAll('#dashboard img, #dashboard b b, #dashboard script').length, window.owned ?? null]"))
            self._nothing_went_wrong()
            # And if the page made a mistake, the browser would not go along with it.
            with self.assertRaisesRegex(Exception, "TrustedHTML"):
                driver.execute_script("document.body.innerHTML = '<p>'")
            driver.get_log("browser")

    # Who uses it

    @takes(120)
    def everything_is_reached_by_keys_and_the_focus_is_seen(self):
        pooler = self._pooler(default_pool_size=3)
        leak(pooler, holders=2, waiters=2)
        with self._page() as driver:
            wait_until("a leak is shown", lambda: self._rows("leaks"))
            self._press("1")
            self.assertEqual("leaks", self._focus())
            self.assertNotEqual("none", driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle"))
            self._press("Enter")
            found = pooler.show("LEAKS")[0]
            self._shows("details", found["cure"], f"REAP DRY RUN ORIGIN {found['origin']}", "Why we think so")
            # Through a link to its origin, and two steps back to where it began.
            self._press("Tab", "Tab")
            self._press("Enter")
            self._shows("details-title", "web@127.0.0.1")
            self._press("Escape")
            self._shows("details-title", found["pattern"])
            self._press("Escape")
            self.assertEqual([False, "leaks"], [driver.execute_script("return document.getElementById('details').open"), self._focus()])
            self._press("4")
            self.assertEqual("leases", self._focus())
            first = driver.switch_to.active_element.get_attribute("data-key")
            self._press("Down")
            second = driver.switch_to.active_element.get_attribute("data-key")
            self.assertNotEqual(first, second)
            sorts = "return [...document.querySelectorAll('#leases th')].findIndex((each) => each.ariaSort)"
            before = driver.execute_script(sorts)
            self._press("s")
            self.assertNotEqual(before, driver.execute_script(sorts))
            order = driver.execute_script("return document.querySelector('#leases th[aria-sort]').ariaSort")
            self._press("S")
            self.assertNotEqual(order, driver.execute_script("return document.querySelector('#leases th[aria-sort]').ariaSort"))
            self.assertEqual(second, driver.switch_to.active_element.get_attribute("data-key"))
            self._press("/")
            self._press("reports")
            wait_until("one is left", lambda: [each["origin"] for each in self._rows("leases")] == ["reports@127.0.0.1"])
            self._press("Escape")
            wait_until("all are back", lambda: len(self._rows("leases")) == 3)
            self._press("p")
            self._shows("link", "paused")
            self._press("p")
            self._shows("link", "live")

    @takes(120)
    def a_phone_shows_it_without_scrolling_sideways_and_both_looks_can_be_read(self):
        pooler = self._pooler()
        leak(pooler, holders=3, waiters=2, name="a" + 59 * "W")
        for dark in (False, True):
            with self._page(width=360, height=740, dark=dark) as driver:
                wait_until("a leak is shown", lambda: self._rows("leaks"))
                wide = "return [document.documentElement.scrollWidth, ...[...document.querySelectorAll('.scroll, dialog')].map((each) => " \
                       "each.scrollWidth - each.clientWidth)]"
                self.assertEqual([360, 0, 0, 0, 0, 0, 0], driver.execute_script(wide))
                self.assertEqual([], driver.execute_script(TOO_FAINT))
                colour = json.loads(driver.execute_script("return getComputedStyle(document.body).backgroundColor").replace("rgb(", "[").replace(")", "]"))
                self.assertEqual(dark, sum(colour) < 200)
                driver.find_element("css selector", "#leaks tbody tr").click()
                self._shows("details", "The cure")
                self.assertEqual([360, 0, 0, 0, 0, 0, 0], driver.execute_script(wide))
                self.assertEqual([], driver.execute_script(TOO_FAINT))
                driver.find_element("id", "back").click()

    @takes(90)
    def it_wants_a_login_and_ends_with_it(self):
        pooler = self._pooler()
        pooler.client().query("SELECT 1")
        with chromium() as self.driver:
            log_in(self.driver, self.port, who=(ADMIN[0], "guessed"))
            self._shows("refusal", "Refused: wrong password")
            self.assertEqual("", self._text("sentence"))
            for field, word in (("user", "app"), ("password", "x")):
                self.driver.find_element("id", field).clear()
                self.driver.find_element("id", field).send_keys(word)
            self._press("Enter")
            self._shows("refusal", "Refused")
            log_in(self.driver, self.port, who=("stats", USERS["stats"]))
            self._shows("who", "stats (looks only)")
            self._shows("sentence", "Nobody waits")
            self.driver.refresh()
            self._shows("sentence", "Nobody waits")
            self.driver.find_element("id", "logout").click()
            self._shows("refusal", "logged out")
            self.assertEqual(("", []), (self._text("sentence"), self._rows("pools")))
            self.driver.refresh()
            wait_until("the form is back", lambda: self.driver.find_element("id", "login").is_displayed())
            self._nothing_went_wrong()

    # When all is not well

    @takes(120)
    def it_goes_on_while_pgweir_drains_and_says_when_nobody_answers(self):
        pooler = self._pooler()
        client = pooler.client()
        client.query("BEGIN")
        with self._page() as driver:
            with wire.Client(pooler.address, user="admin", database="pgbouncer") as console:
                console.query("SHUTDOWN WAIT_FOR_CLIENTS")
            self._shows("link", "draining")
            self._shows("sentence", "Nobody waits")
            client.query("COMMIT")
            client.close()
            self.assertEqual(0, pooler.wait())
            said = self._shows("silence", "The server does not answer", "What is below is of")
            self._shows("link", "no answer")
            self.assertTrue(driver.find_element("id", "silence").is_displayed())
            wait_until("how long is told", lambda: self._text("silence") != said)
            pooler.start()
            self._shows("refusal", "log in again")

    @takes(90)
    def a_page_that_nobody_sees_asks_nothing(self):
        pooler = self._pooler()
        pooler.client().query("SELECT 1")
        with self._page() as driver:
            asked = "return performance.getEntriesByType('resource').filter((each) => each.name.includes('/api/')).length"
            hide = "const hidden = arguments[0]; Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true }); " \
                   "document.dispatchEvent(new Event('visibilitychange'))"
            before = driver.execute_script(asked)
            wait_until("it asks", lambda: driver.execute_script(asked) > before)
            driver.execute_script(hide, True)
            wait_until("the last answer is there", lambda: driver.execute_async_script(
                f"const done = arguments[0], asked = () => {{ {asked} }}, before = asked(); setTimeout(() => done(asked() === before), 2500)"))
            before = driver.execute_script(asked)
            driver.execute_script(hide, False)
            wait_until("it asks again", lambda: driver.execute_script(asked) > before)
