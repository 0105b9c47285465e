#ifndef SIM_HOUSE_H
#define SIM_HOUSE_H

#include "judge.h"

/* pgweir in the simulated world: its workers take turns, and the simulator is its keeper. */
extern const char *const database_names[];
extern const size_t database_count;

void house_begin(void);
void house_reload(void);         /* with other limits */
void house_reload_between(void); /* likewise, and soon: within a worker's turn */
void house_unblock(void);        /* RESUME and ENABLE everything */
void house_end(void);
bool house_prepares(void);
unsigned house_names_max(void);
bool house_is_transparent(void);
bool house_wants_passwords(void);
bool house_is_monitored(void);

void faults_begin(void);
void faults_end(void);

#endif
