/*
 * Users and processes of a case: who it runs as, and what it runs beside.
 */
#include "harness.h"

#include <grp.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

const struct user ALICE = {60001, 60001, {0}};
const struct user BOB = {60002, 60002, {0}};
const struct user CAROL = {60003, 60003, {60001}};

#define PROCESSES_MAX 64
static pid_t beside[PROCESSES_MAX];
static int beside_count;

atomic_int *counters;

void need_root(void)
{
	if (!is_root)
		skip("needs root, with all that root may do");
}

void need_users(void)
{
	need_root();
	if (!users_enter)
		skip("the mount doesn't let other users in (allow_other)");
}

void need_without(unsigned long flag, const char *name)
{
	struct statvfs space;

	if (statvfs(".", &space) == 0 && space.f_flag & flag)
		skip("the mount has %s", name);
}

static pid_t fork_or_fail(struct place place)
{
	pid_t pid = fork();

	if (pid < 0)
		fail(place, "fork() succeeds", errno_name(errno));
	if (pid == 0)
		beside_count = 0;
	return pid;
}

/* Waits for a process that must end well. One that has failed has said so in the report. */
static void wait_for(struct place place, pid_t pid)
{
	char seen[64];
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fail(place, "waitpid() succeeds", errno_name(errno));
	if (status == 0)
		return;
	if (report->outcome != RUNNING)
		_exit(1);
	if (WIFSIGNALED(status))
		snprintf(seen, sizeof seen, "signal %d ended it (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(seen, sizeof seen, "it ended with %d", WEXITSTATUS(status));
	fail(place, "the process ends well", seen);
}

static void change_user(struct place place, const struct user *user)
{
	int groups = 0;

	while (groups < ARRAY_LENGTH(user->others) && user->others[groups])
		groups++;
	if (setgroups(groups, user->others) || setresgid(user->gid, user->gid, user->gid) ||
	    setresuid(user->uid, user->uid, user->uid))
		fail(place, "root becomes another user", errno_name(errno));
}

int become(struct place place, const struct user *user)
{
	pid_t pid = fork_or_fail(place);

	if (pid) {
		wait_for(place, pid);
		return 1;
	}
	if (user)
		change_user(place, user);
	return 0;
}

int become_ordinary(struct place place)
{
	if (!is_root && geteuid() == 0)
		skip("this root is neither all-powerful nor an ordinary user");
	if (!is_root)
		return become(place, NULL);
	need_users();
	check_ok(place, "chown(\".\")", chown(".", ALICE.uid, ALICE.gid));
	return become(place, &ALICE);
}

int go_beside(struct place place)
{
	if (beside_count == PROCESSES_MAX)
		fail(place, "not so many processes beside", "they are too many");

	pid_t pid = fork_or_fail(place);

	if (pid == 0)
		return 0;
	beside[beside_count++] = pid;
	return 1;
}

void join(struct place place)
{
	while (beside_count)
		wait_for(place, beside[--beside_count]);
}

int spread(struct place place, int count)
{
	atomic_store(&report->at_start, 0);
	for (int self = 0; self < count; self++) {
		if (go_beside(place))
			continue;
		atomic_fetch_add(&report->at_start, 1);
		while (atomic_load(&report->at_start) < count)
			pause_ms(0);
		return self;
	}
	join(place);
	return -1;
}

void reach(int step)
{
	atomic_store(&report->step, step);
}

bool reached(int step)
{
	return atomic_load(&report->step) >= step;
}

void await(int step)
{
	while (!reached(step))
		pause_ms(1);
}

void pause_ms(int ms)
{
	struct timespec length = {ms / 1000, ms % 1000 * 1000000L};

	while (nanosleep(&length, &length) && errno == EINTR)
		;
}
