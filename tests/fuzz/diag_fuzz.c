/* What netlink says of sockets: whatever it is, reading it ends, and every socket that comes of it can be judged. */
#include "base/check.h"
#include "io/diag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of(data, size);
	enum diag_answer answer = DIAG_SOCKET;
	struct diag_socket socket;
	size_t steps = 0;

	while (answer == DIAG_SOCKET) {
		answer = diag_next(&rest, &socket);
		check(++steps <= size + 1);
		check(rest.length <= size);
		if (answer == DIAG_SOCKET)
			check(diag_turn_of(&socket) == DIAG_NOBODYS || socket.talks);
	}
	check(answer != DIAG_MORE || rest.length == 0);
	return 0;
}
