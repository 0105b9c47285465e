#ifndef PGWEIR_SESSION_SUIT_H
#define PGWEIR_SESSION_SUIT_H

#include "config/config.h"
#include "session/params.h"

/* Does a PostgreSQL server suit a database, as target_session_attrs of libpq means it? What it is, it reports itself since version 14
 * (in_hot_standby and default_transaction_read_only are among its ParameterStatus messages); an older one is asked. */
struct nature {
	bool known;
	bool standby;   /* in recovery */
	bool read_only; /* its transactions are, where nobody says otherwise; those of a standby always are */
};

/* From what it reported at its login, before anybody set anything. */
struct nature nature_reported(const struct params *);

/* One row that says it; any version since 9.0, whatever a client has SET in that session. */
extern const char nature_question[];
struct nature nature_read(struct span row); /* the body of that row's DataRow */

/* Why it does not suit, to follow its address ("is in hot standby"); NULL: it does. With TARGET_PREFER_STANDBY, as if a standby were
 * wanted: who finds none takes any. */
const char *nature_lacks(struct nature, enum target);

#endif
