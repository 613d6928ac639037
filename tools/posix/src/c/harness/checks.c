/*
 * The checks. What didn't hold is noted in the case's report, the first time only, and the process ends.
 */
#include "harness.h"

#include <stdarg.h>

static char where[256];

void context(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(where, sizeof where, format, arguments);
	va_end(arguments);
}

void no_context(void)
{
	*where = 0;
}

static void settle(enum outcome outcome)
{
	int running = RUNNING;

	if (!atomic_compare_exchange_strong(&report->outcome, &running, outcome))
		_exit(1); /* another process was first */
}

_Noreturn void fail(struct place place, const char *expected, const char *seen)
{
	settle(OUTCOME_FAILED);
	snprintf(report->at, sizeof report->at, "%s:%d", place.file, place.line);
	snprintf(report->expected, sizeof report->expected, "%s%s%s", where, *where ? ": " : "", expected);
	snprintf(report->seen, sizeof report->seen, "%s", seen);
	_exit(1);
}

_Noreturn void skip(const char *format, ...)
{
	va_list arguments;

	settle(OUTCOME_SKIPPED);
	va_start(arguments, format);
	vsnprintf(report->reason, sizeof report->reason, format, arguments);
	va_end(arguments);
	_exit(1);
}

#define NAME(error) {error, #error}
static const struct {
	int error;
	const char *name;
} errno_names[] = {
	NAME(E2BIG), NAME(EACCES), NAME(EADDRINUSE), NAME(EAGAIN), NAME(EBADF), NAME(EBUSY), NAME(ECONNREFUSED),
	NAME(EDEADLK), NAME(EDQUOT), NAME(EEXIST), NAME(EFAULT), NAME(EFBIG), NAME(EINTR), NAME(EINVAL), NAME(EIO),
	NAME(EISDIR), NAME(ELOOP), NAME(EMFILE), NAME(EMLINK), NAME(ENAMETOOLONG), NAME(ENFILE), NAME(ENODATA),
	NAME(ENODEV), NAME(ENOENT), NAME(ENOEXEC), NAME(ENOMEM), NAME(ENOSPC), NAME(ENOSYS), NAME(ENOTCONN),
	NAME(ENOTDIR), NAME(ENOTEMPTY), NAME(ENOTTY), NAME(ENXIO), NAME(EOPNOTSUPP), NAME(EOVERFLOW), NAME(EPERM),
	NAME(EPIPE), NAME(ERANGE), NAME(EROFS), NAME(ESPIPE), NAME(ESTALE), NAME(ETXTBSY), NAME(EXDEV),
};

const char *errno_name(int error)
{
	for (int i = 0; i < ARRAY_LENGTH(errno_names); i++)
		if (errno_names[i].error == error)
			return errno_names[i].name;
	return strerror(error);
}

/* What a call came to. */
static const char *outcome_of(long result, int error)
{
	static char text[64];

	if (result == -1)
		snprintf(text, sizeof text, "it failed with %s", errno_name(error));
	else
		snprintf(text, sizeof text, "it returned %ld", result);
	return text;
}

long check_ok(struct place place, const char *call, long result)
{
	char expected[512];

	if (result != -1)
		return result;
	snprintf(expected, sizeof expected, "%s succeeds", call);
	fail(place, expected, outcome_of(result, errno));
}

void check_fails(struct place place, const char *call, int error, int other, long result)
{
	char expected[512];

	if (result == -1 && (errno == error || errno == other))
		return;
	if (error == other)
		snprintf(expected, sizeof expected, "%s fails with %s", call, errno_name(error));
	else
		snprintf(expected, sizeof expected, "%s fails with %s or %s", call, errno_name(error), errno_name(other));
	fail(place, expected, outcome_of(result, errno));
}

long check_optional(struct place place, const char *call, int error, long result)
{
	if (result != -1)
		return result;
	if (errno == EOPNOTSUPP || errno == ENOSYS || (error && errno == error))
		skip("%s isn't there: %s", call, errno_name(errno));
	return check_ok(place, call, result);
}

void check_equal(struct place place, const char *what, long expected, long seen)
{
	char wanted[512], found[64];

	if (expected == seen)
		return;
	snprintf(wanted, sizeof wanted, "%s is %ld", what, expected);
	snprintf(found, sizeof found, "%ld", seen);
	fail(place, wanted, found);
}

void check_mode(struct place place, const char *what, mode_t expected, mode_t seen)
{
	char wanted[512], found[64];

	if (expected == seen)
		return;
	snprintf(wanted, sizeof wanted, "%s is 0%o", what, expected);
	snprintf(found, sizeof found, "0%o", seen);
	fail(place, wanted, found);
}

void check_same(struct place place, const char *what, const char *expected, const char *seen)
{
	char wanted[768], found[512];

	if (!strcmp(expected, seen))
		return;
	snprintf(wanted, sizeof wanted, "%s is \"%.300s\"", what, expected);
	snprintf(found, sizeof found, "\"%.300s\"", seen);
	fail(place, wanted, found);
}

void check_bytes(struct place place, const char *what, const void *expected, const void *seen, size_t length)
{
	const unsigned char *wanted = expected, *found = seen;
	char expectation[512], finding[64];

	for (size_t i = 0; i < length; i++) {
		if (wanted[i] == found[i])
			continue;
		snprintf(expectation, sizeof expectation, "%s: byte %zu of %zu is 0x%02x", what, i, length, wanted[i]);
		snprintf(finding, sizeof finding, "0x%02x", found[i]);
		fail(place, expectation, finding);
	}
}

void check_zeros(struct place place, const char *what, const void *seen, size_t length)
{
	const unsigned char *found = seen;
	char expectation[512], finding[64];

	for (size_t i = 0; i < length; i++) {
		if (!found[i])
			continue;
		snprintf(expectation, sizeof expectation, "%s: byte %zu of %zu is 0", what, i, length);
		snprintf(finding, sizeof finding, "0x%02x", found[i]);
		fail(place, expectation, finding);
	}
}

void check_true(struct place place, const char *condition, bool holds)
{
	if (!holds)
		fail(place, condition, "that doesn't hold");
}
