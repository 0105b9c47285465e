"""Not a leak: jobs that all start on the full minute, do their work and end. Here a minute has four seconds."""
import subprocess
import time

from asked import asked

options = asked(__doc__)
while True:
    jobs = [subprocess.Popen(["psql", "-XAtq", options.dsn, "-c", "SELECT count(*) FROM product",
                              "-c", f"SELECT pg_sleep({0.2 + number / 4})"], stdout=subprocess.DEVNULL) for number in range(8)]
    for job in jobs:
        job.wait(60)
    time.sleep(max(0.5, options.every - 2))
