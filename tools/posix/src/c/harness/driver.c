/*
 * driver [--timeout SECONDS] DIRECTORY [PATTERN]...     runs the cases whose names match a pattern; all by default
 * driver --list                                         names and titles
 *
 * Prints a line of JSON first about where it runs, and one for each case:
 *
 *     {"filesystem":"ext4","kernel":"6.12.0","root":true}
 *     {"name":"open/append","title":"...","outcome":"ok","ms":1}
 *     {"name":"...","title":"...","outcome":"failed","ms":1,"at":"names/open.c:12","expected":"...","seen":"..."}
 *     {"name":"...","title":"...","outcome":"skipped","ms":0,"reason":"..."}
 *
 * Everything happens in a new directory in DIRECTORY, which is removed in the end. Exits with 0 when all cases have run, whatever
 * came of them; with 2 when they can't be run. Cases with programs of their own run this one: "driver program WHAT".
 */
#include "harness.h"

#include <dirent.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define CASES_MAX 1024
#define NAME_MAX_LENGTH 128
/* How long killed processes may take to be gone. */
#define GONE_MS 10000

static const struct posix_case *cases[CASES_MAX];
static int case_count;
struct report *report;
bool is_root, users_enter;
static volatile sig_atomic_t stopped;

void enter_case(const struct posix_case *entry)
{
	if (case_count == CASES_MAX)
		abort();
	cases[case_count++] = entry;
}

static int in_order(const void *left, const void *right)
{
	const struct posix_case *a = *(const struct posix_case *const *)left, *b = *(const struct posix_case *const *)right;
	int by_file = strcmp(a->place.file, b->place.file);

	return by_file ? by_file : a->place.line - b->place.line;
}

static const char *name_of(const struct posix_case *entry)
{
	static char name[NAME_MAX_LENGTH];
	const char *slash = strrchr(entry->place.file, '/'), *file = slash ? slash + 1 : entry->place.file;

	snprintf(name, sizeof name, "%.*s/%s", (int)strcspn(file, "."), file, entry->name);
	return name;
}

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

/* Lines of JSON */

static void print_string(const char *key, const char *text)
{
	printf("%s\"%s\":\"", strcmp(key, "name") && strcmp(key, "filesystem") ? "," : "{", key);
	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		if (*at == '"' || *at == '\\')
			printf("\\%c", *at);
		else if (*at < ' ' || *at > '~')
			printf("\\u%04x", *at);
		else
			putchar(*at);
	}
	putchar('"');
}

static void print_result(const struct posix_case *entry, long ms)
{
	static const char *const outcomes[] = {"failed", "ok", "failed", "skipped"};

	print_string("name", name_of(entry));
	print_string("title", entry->title);
	print_string("outcome", outcomes[report->outcome]);
	printf(",\"ms\":%ld", ms);
	if (report->outcome == OUTCOME_FAILED) {
		print_string("at", report->at);
		print_string("expected", report->expected);
		print_string("seen", report->seen);
	} else if (report->outcome == OUTCOME_SKIPPED) {
		print_string("reason", report->reason);
	}
	puts("}");
	if (fflush(stdout))
		stopped = 1; /* nobody listens */
}

/* Processes */

static void note_failure(const struct posix_case *entry, const char *expected, const char *seen)
{
	int running = RUNNING;

	if (!atomic_compare_exchange_strong(&report->outcome, &running, OUTCOME_FAILED))
		return;
	snprintf(report->at, sizeof report->at, "%s:%d", entry->place.file, entry->place.line);
	snprintf(report->expected, sizeof report->expected, "%s", expected);
	snprintf(report->seen, sizeof report->seen, "%s", seen);
}

/* Ends what is left of a group of processes, and waits until it is gone. False if it doesn't go. */
static bool end_group(pid_t group)
{
	for (int waited = 0; waited < GONE_MS; waited++) {
		pid_t gone;

		kill(-group, SIGKILL);
		while ((gone = waitpid(-group, NULL, WNOHANG)) > 0)
			;
		if (gone < 0)
			return true;
		pause_ms(1);
	}
	return false;
}

/*
 * Runs `work` in a process group of its own, `ms_max` at most. Its status, or -1 if it took too long: then it has been
 * killed. Exits if it can't be.
 */
static int run_apart(void (*work)(const struct posix_case *), const struct posix_case *entry, int ms_max)
{
	int status = -1;
	pid_t pid = fork();

	if (pid < 0)
		give_up("fork");
	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(entry);
		_exit(0);
	}
	setpgid(pid, pid);

	struct pollfd end = {.fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

	if (end.fd < 0)
		give_up("pidfd_open");
	if (poll(&end, 1, ms_max) > 0)
		waitpid(pid, &status, 0);
	close(end.fd);
	if (!end_group(pid)) {
		note_failure(entry, "a killed process ends", "it still runs");
		print_result(entry, ms_max);
		errno = ETIMEDOUT;
		give_up("a process can't be killed");
	}
	return status;
}

static void run_case(const struct posix_case *entry)
{
	struct rlimit none = {0, 0};

	signal(SIGPIPE, SIG_DFL);
	setrlimit(RLIMIT_CORE, &none);
	umask(0);
	if (mkdir("case", 0755) || chdir("case")) {
		note_failure(entry, "a directory for the case can be made", errno_name(errno));
		return;
	}
	entry->run();
	JOIN();

	int running = RUNNING;

	atomic_compare_exchange_strong(&report->outcome, &running, OUTCOME_OK);
}

/* Removes `name` and all below it. Paths may be longer than a call takes, so it goes from directory to directory. */
static int remove_tree(int parent, const char *name)
{
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;

	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

	if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0 || (fchmod(fd, 0700) && errno != EPERM))
		return -1;

	DIR *directory = fdopendir(fd);

	if (!directory)
		return -1;
	for (struct dirent *entry; (entry = readdir(directory));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (remove_tree(fd, entry->d_name)) {
			closedir(directory);
			return -1;
		}
	}
	closedir(directory);
	return unlinkat(parent, name, AT_REMOVEDIR);
}

static void clean_up(const struct posix_case *entry)
{
	if (remove_tree(AT_FDCWD, "case"))
		note_failure(entry, "what the case has made can be removed", errno_name(errno));
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void judge(const struct posix_case *entry, int ms_max)
{
	char seen[96];
	long start = now_ms();

	memset(report, 0, sizeof *report);

	int status = run_apart(run_case, entry, ms_max);

	if (status == -1)
		snprintf(seen, sizeof seen, "it was still running after %d ms", ms_max);
	else if (WIFSIGNALED(status))
		snprintf(seen, sizeof seen, "signal %d ended it (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(seen, sizeof seen, "it ended with %d", WEXITSTATUS(status));
	note_failure(entry, "the case comes to its end", seen);

	int outcome = report->outcome;

	if (outcome != OUTCOME_FAILED) /* so that a failure to remove can be noted */
		report->outcome = RUNNING;
	status = run_apart(clean_up, entry, ms_max);
	if (status)
		note_failure(entry, "what the case has made can be removed", "that took too long, or crashed");
	if (report->outcome == RUNNING)
		report->outcome = outcome;
	print_result(entry, now_ms() - start);
}

/* Where it runs */

/* The type of the filesystem that the working directory is on, by the table of mounts. */
static const char *filesystem_type(void)
{
	static char type[64] = "unknown";
	struct statx status;
	FILE *table = fopen("/proc/self/mountinfo", "r");
	char line[4096];

	if (!table)
		return type;
	if (statx(AT_FDCWD, ".", 0, STATX_MNT_ID, &status) || !(status.stx_mask & STATX_MNT_ID))
		status.stx_mnt_id = UINT64_MAX;
	while (fgets(line, sizeof line, table)) {
		char *separator = strstr(line, " - ");

		if (separator && strtoull(line, NULL, 10) == status.stx_mnt_id)
			sscanf(separator + 3, "%63s", type);
	}
	fclose(table);
	return type;
}

/* Whether this is a root with every capability that a case uses. */
static bool is_full_root(void)
{
	static const int needed[] = {0 /* CHOWN */, 1 /* DAC_OVERRIDE */, 2, 3 /* FOWNER */, 4 /* FSETID */, 6 /* SETGID */,
				     7 /* SETUID */, 21 /* SYS_ADMIN */, 27 /* MKNOD */, 31 /* SETFCAP */};
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long long capabilities = 0;
	char line[256];

	if (!status)
		return false;
	while (fgets(line, sizeof line, status))
		sscanf(line, "CapEff: %llx", &capabilities);
	fclose(status);
	for (int i = 0; i < ARRAY_LENGTH(needed); i++)
		if (!(capabilities >> needed[i] & 1))
			return false;
	return geteuid() == 0;
}

/* A FUSE mount may be for one user only. */
static void look_as_other(const struct posix_case *entry)
{
	struct stat status;

	(void)entry;
	if (setresgid(ALICE.gid, ALICE.gid, ALICE.gid) || setresuid(ALICE.uid, ALICE.uid, ALICE.uid) || lstat(".", &status))
		_exit(1);
}

static void describe_place(void)
{
	struct utsname system;

	is_root = is_full_root();
	users_enter = is_root && run_apart(look_as_other, NULL, GONE_MS) == 0;
	uname(&system);
	print_string("filesystem", filesystem_type());
	print_string("kernel", system.release);
	printf(",\"root\":%s}\n", is_root ? "true" : "false");
	fflush(stdout);
}

/* The program */

/* What cases execute: a copy of this program that says who it is, and perhaps waits for its input's end. */
static int be_program(const char *what)
{
	char byte;

	printf("%d\n", (int)geteuid());
	fflush(stdout);
	if (!strcmp(what, "wait"))
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
	return 0;
}

static int list_cases(void)
{
	for (int i = 0; i < case_count; i++) {
		print_string("name", name_of(cases[i]));
		print_string("title", cases[i]->title);
		puts("}");
	}
	return 0;
}

static bool is_wanted(const struct posix_case *entry, char **patterns, int count)
{
	for (int i = 0; i < count; i++)
		if (!fnmatch(patterns[i], name_of(entry), 0))
			return true;
	return count == 0;
}

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

int main(int argc, char **argv)
{
	int ms_max = 60000, at = 1;

	if (argc == 3 && !strcmp(argv[1], "program"))
		return be_program(argv[2]);
	qsort(cases, case_count, sizeof *cases, in_order);
	if (argc == 2 && !strcmp(argv[1], "--list"))
		return list_cases();
	if (at + 1 < argc && !strcmp(argv[at], "--timeout")) {
		ms_max = 1000 * atoi(argv[at + 1]);
		at += 2;
	}
	if (at >= argc || ms_max <= 0) {
		fprintf(stderr, "usage: driver [--timeout SECONDS] DIRECTORY [PATTERN]... | driver --list\n");
		return 2;
	}

	char top[] = "posix-XXXXXX";
	int directory = open(argv[at], O_RDONLY | O_DIRECTORY);

	if (directory < 0 || fchdir(directory))
		give_up(argv[at]);
	if (!mkdtemp(top) || chmod(top, 0755) || chdir(top))
		give_up("a directory for the cases");
	report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (report == MAP_FAILED)
		give_up("mmap");
	counters = report->counters;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_DFL);
	sigaction(SIGINT, &(struct sigaction){.sa_handler = stop}, NULL);
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
	describe_place();
	for (int i = 0; i < case_count && !stopped; i++)
		if (is_wanted(cases[i], argv + at + 1, argc - at - 1))
			judge(cases[i], ms_max);
	if (fchdir(directory) || remove_tree(AT_FDCWD, top))
		give_up("the directory of the cases can't be removed");
	return stopped ? 2 : 0;
}
