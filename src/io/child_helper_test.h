#ifndef PGWEIR_IO_CHILD_HELPER_TEST_H
#define PGWEIR_IO_CHILD_HELPER_TEST_H

#include <sys/wait.h>

#include "io/helper_test.h"

/* What changes the whole process (its standard error, its user, its limits) is done in a child, whose exit status is the answer. */

/* Run in a child; true: it returned true within its time. */
static inline bool child(bool (*story)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		_exit(story() ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
