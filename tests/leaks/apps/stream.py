"""L9: a FastAPI application whose event stream keeps its database session for as long as the tab is open.

uvicorn stream:app; PG* variables say where the database is, APP_NAME what it is called there, CURED=1 that the mistake
is not made."""
import asyncio
import os

from fastapi import Depends, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from starlette.responses import StreamingResponse

CURED = os.environ.get("CURED") == "1"

engine = create_async_engine(
    "postgresql+asyncpg://{PGUSER}@{PGHOST}:{PGPORT}/{PGDATABASE}".format(**os.environ), pool_size=40,
    connect_args={"ssl": False, "server_settings": {"application_name": os.environ["APP_NAME"]}})
app = FastAPI()


async def get_db():
    async with AsyncSession(engine) as session:
        yield session


@app.get("/events")
async def events(db: AsyncSession = Depends(get_db)):
    # The mistake: the session is needed to see who asks, and is given back when the response has ended, hours later.
    await db.execute(text("SELECT name FROM product WHERE id = 1"))
    if CURED:
        await db.close()

    async def lines():
        while True:
            yield "data: still here\n\n"
            await asyncio.sleep(1)
    return StreamingResponse(lines(), media_type="text/event-stream")
