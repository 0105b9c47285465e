"""A headless Chromium that looks at the dashboard, and the leak that it looks at."""
import contextlib
import shutil
import tempfile

import wire
from harness import free_port, wait_until
from wire import query

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
ADMIN = ("admin", "let me, in & more")
USERS = {"app": "", "other": "", ADMIN[0]: ADMIN[1], "stats": "only looking"}


def http_settings(**more):
    """Settings of a pooler with a dashboard, and its port."""
    port = free_port()
    return port, {"http_listen": f"127.0.0.1:{port}", "auth_type": "any", "leak_interval": 0.2, **more}


def leak(pooler, holders, waiters, name="web", workers=1):
    """Clients that forgot their transactions, some that work, and those who wait for them."""
    for _ in range(holders):
        client = pooler.client(parameters={"application_name": name})
        client.query("BEGIN")
        client.query("SELECT 17 AS held_by_me FROM generate_series(1, 3)")
    for _ in range(workers):
        pooler.client(parameters={"application_name": "reports"}).send(query("SELECT pg_sleep(600), 'the monthly report'"))
    wait_until("all are lent", lambda: pooler.pool()["sv_active"] == pooler.settings["default_pool_size"])
    waiting = []
    for number in range(waiters):
        waiting.append(pooler.client(parameters={"application_name": "shop" if number % 3 else name}))
        waiting[-1].send(query("SELECT 1"))
    wait_until("they wait", lambda: pooler.pool()["cl_waiting"] == waiters)
    return waiting


@contextlib.contextmanager
def chromium(width=1280, height=800, dark=False):
    """A window of this size. What it keeps is gone with it."""
    from selenium import webdriver                                 # only who has a browser needs it
    from selenium.webdriver.chrome.service import Service
    folder = tempfile.mkdtemp(prefix="pgweir-chromium-")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
                 f"--user-data-dir={folder}", f"--window-size={max(width, 500)},{height}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    try:
        driver.set_page_load_timeout(30 * wire.PATIENCE)
        driver.set_script_timeout(30 * wire.PATIENCE)
        # A window is never narrower than 500 pixels; what a page sees may be.
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                               {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                               {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(folder, ignore_errors=True)


def log_in(driver, port, who=ADMIN, address="127.0.0.1"):
    driver.get(f"http://{address}:{port}/")
    wait_until("the form is there", lambda: driver.find_element("id", "login").is_displayed())
    driver.find_element("id", "user").send_keys(who[0])
    driver.find_element("id", "password").send_keys(who[1])
    driver.find_element("css selector", "#login button").click()
