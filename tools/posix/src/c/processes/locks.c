/* flock(2), and locks on parts of files by fcntl(2), of processes and of open files. */
#include "harness.h"

#include <signal.h>
#include <sys/file.h>

/* fcntl with a lock on a part; 0 for `length` is all from `start` on. */
static int lock(int fd, int command, int type, off_t start, off_t length)
{
	struct flock part = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

	return fcntl(fd, command, &part);
}

/* What stands in the way of a lock. */
static struct flock obstacle(int fd, int type, off_t start, off_t length)
{
	struct flock part = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

	OK(fcntl(fd, F_GETLK, &part));
	return part;
}

CASE(flock_exclusive, "an exclusive flock keeps all others out, until it is given back")
{
	int fd = open_new("f");

	OK(flock(fd, LOCK_EX));
	CHILD {
		int own = OK(open("f", O_RDWR));

		FAILS(EWOULDBLOCK, flock(own, LOCK_EX | LOCK_NB));
		FAILS(EWOULDBLOCK, flock(own, LOCK_SH | LOCK_NB));
	}
	OK(flock(fd, LOCK_UN));
	CHILD {
		int own = OK(open("f", O_RDONLY));

		OK(flock(own, LOCK_EX | LOCK_NB));
	}
	OK(flock(fd, LOCK_EX | LOCK_NB));
}

CASE(flock_shared, "shared flocks go together, and keep an exclusive one out")
{
	int fd = open_new("f");

	OK(flock(fd, LOCK_SH));
	CHILD {
		int own = OK(open("f", O_RDWR));

		FAILS(EWOULDBLOCK, flock(own, LOCK_EX | LOCK_NB));
		OK(flock(own, LOCK_SH | LOCK_NB));
		FAILS(EWOULDBLOCK, flock(own, LOCK_EX | LOCK_NB));
	}
	OK(flock(fd, LOCK_EX | LOCK_NB));
}

CASE(flock_of_open_file, "a flock belongs to the open file: a duplicate and a child have it too, another open doesn't")
{
	int fd = open_new("f"), copy = OK(dup(fd)), other = OK(open("f", O_RDWR));

	OK(flock(fd, LOCK_EX));
	OK(flock(copy, LOCK_EX | LOCK_NB));
	FAILS(EWOULDBLOCK, flock(other, LOCK_SH | LOCK_NB));
	CHILD {
		OK(flock(fd, LOCK_EX | LOCK_NB));
	}
	FAILS(EWOULDBLOCK, flock(other, LOCK_SH | LOCK_NB));
	close(fd);
	FAILS(EWOULDBLOCK, flock(other, LOCK_SH | LOCK_NB));
	close(copy);
	OK(flock(other, LOCK_EX | LOCK_NB));
}

CASE(flock_waits, "a flock that isn't free is waited for, and got when its holder is gone")
{
	int fd = open_new("f");

	BESIDE {
		int own = OK(open("f", O_RDWR));

		OK(flock(own, LOCK_EX));
		reach(1);
		pause_ms(100);
		atomic_store(&counters[0], 1);
	}
	await(1);
	OK(flock(fd, LOCK_EX));
	EQ(1, atomic_load(&counters[0]));
}

CASE(flock_directory, "directories can be flocked")
{
	make_dir("d");

	int fd = OK(open("d", O_RDONLY)), other = OK(open("d", O_RDONLY));

	OK(flock(fd, LOCK_EX));
	FAILS(EWOULDBLOCK, flock(other, LOCK_SH | LOCK_NB));
	FAILS(EINVAL, flock(fd, 0));
	FAILS(EBADF, flock(1000, LOCK_EX));
}

CASE(posix_exclusive, "a lock on a part keeps other processes out of that part, and not out of others")
{
	int fd = open_new("f");

	OK(lock(fd, F_SETLK, F_WRLCK, 100, 100));
	CHILD {
		FAILS_EITHER(EAGAIN, EACCES, lock(fd, F_SETLK, F_WRLCK, 150, 1));
		FAILS_EITHER(EAGAIN, EACCES, lock(fd, F_SETLK, F_RDLCK, 0, 101));
		FAILS_EITHER(EAGAIN, EACCES, lock(fd, F_SETLK, F_RDLCK, 0, 0));
		OK(lock(fd, F_SETLK, F_WRLCK, 0, 100));
		OK(lock(fd, F_SETLK, F_WRLCK, 200, 0));
	}
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

CASE(posix_shared, "locks for reading go together, and keep those for writing out")
{
	int fd = open_new("f");

	OK(lock(fd, F_SETLK, F_RDLCK, 0, 100));
	CHILD {
		OK(lock(fd, F_SETLK, F_RDLCK, 50, 100));
		FAILS_EITHER(EAGAIN, EACCES, lock(fd, F_SETLK, F_WRLCK, 50, 100));
		OK(lock(fd, F_SETLK, F_WRLCK, 100, 50));
	}
}

CASE(posix_holder, "F_GETLK says who stands in the way, and where")
{
	int fd = open_new("f");
	pid_t self = getpid();

	OK(lock(fd, F_SETLK, F_WRLCK, 100, 50));
	EQ(F_UNLCK, obstacle(fd, F_WRLCK, 0, 0).l_type);
	CHILD {
		struct flock holder = obstacle(fd, F_RDLCK, 0, 0);

		EQ(F_WRLCK, holder.l_type);
		EQ(100, holder.l_start);
		EQ(50, holder.l_len);
		EQ(self, holder.l_pid);
		EQ(F_UNLCK, obstacle(fd, F_WRLCK, 150, 0).l_type);
	}
}

CASE(posix_parts, "a lock can be given back, and changed, in its middle")
{
	int fd = open_new("f");

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 300));
	OK(lock(fd, F_SETLK, F_UNLCK, 100, 100));
	OK(lock(fd, F_SETLK, F_RDLCK, 250, 50));
	CHILD {
		EQ(F_WRLCK, obstacle(fd, F_RDLCK, 99, 1).l_type);
		EQ(F_UNLCK, obstacle(fd, F_WRLCK, 100, 100).l_type);
		EQ(F_WRLCK, obstacle(fd, F_RDLCK, 200, 50).l_type);
		EQ(F_UNLCK, obstacle(fd, F_RDLCK, 250, 50).l_type);
		EQ(F_RDLCK, obstacle(fd, F_WRLCK, 250, 50).l_type);
	}
}

CASE(posix_of_process, "such a lock is a process's own: a child hasn't it, and closing any descriptor gives it back")
{
	int fd = open_new("f"), other = OK(open("f", O_RDWR));

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	OK(lock(other, F_SETLK, F_WRLCK, 0, 0));
	CHILD {
		FAILS_EITHER(EAGAIN, EACCES, lock(fd, F_SETLK, F_WRLCK, 0, 0));
	}
	close(other);
	CHILD {
		OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	}
}

CASE(posix_waits, "F_SETLKW waits, and gets the lock when its holder gives it back")
{
	int fd = open_new("f");

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	BESIDE {
		int own = OK(open("f", O_RDWR));

		reach(1);
		OK(lock(own, F_SETLKW, F_WRLCK, 5, 10));
		EQ(1, atomic_load(&counters[0]));
	}
	await(1);
	pause_ms(100);
	atomic_store(&counters[0], 1);
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 10));
}

static void on_alarm(int signal)
{
	(void)signal;
}

CASE(posix_interrupted, "a signal ends the waiting with EINTR")
{
	int fd = open_new("f");

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	CHILD {
		struct sigaction action = {.sa_handler = on_alarm};

		OK(sigaction(SIGALRM, &action, NULL));
		OK(ualarm(50000, 50000)); /* again and again: the first may come too early */
		FAILS(EINTR, lock(fd, F_SETLKW, F_WRLCK, 0, 10));
	}
}

CASE(posix_deadlock, "two processes that would wait for each other are told: EDEADLK")
{
	int fd = open_new("f");

	BESIDE {
		OK(lock(fd, F_SETLK, F_WRLCK, 1, 1));
		reach(1);
		await(2);

		int result = lock(fd, F_SETLKW, F_WRLCK, 0, 1);

		if (result < 0) {
			EQ(EDEADLK, errno);
			atomic_fetch_add(&counters[0], 1);
		}
	}
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	await(1);
	reach(2);

	int result = lock(fd, F_SETLKW, F_WRLCK, 1, 1);

	if (result < 0) {
		EQ(EDEADLK, errno);
		atomic_fetch_add(&counters[0], 1);
	}
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	JOIN();
	EQ(1, atomic_load(&counters[0]));
}

CASE(posix_refusals, "a lock needs a descriptor open for what it is for, and a range that can be")
{
	make_file("f");

	int reading = OK(open("f", O_RDONLY)), writing = OK(open("f", O_WRONLY));

	FAILS(EBADF, lock(reading, F_SETLK, F_WRLCK, 0, 1));
	FAILS(EBADF, lock(writing, F_SETLK, F_RDLCK, 0, 1));
	OK(lock(reading, F_SETLK, F_RDLCK, 0, 1));
	FAILS(EINVAL, lock(writing, F_SETLK, F_WRLCK, -1, 1));
	FAILS(EINVAL, lock(writing, F_SETLK, 99, 0, 1));
	OK(lock(writing, F_SETLK, F_WRLCK, TIB, 1));
}

CASE(open_file_locks, "a lock of an open file (F_OFD_SETLK) keeps others of the same process out too")
{
	int fd = open_new("f"), other = OK(open("f", O_RDWR)), copy = OK(dup(fd));

	OK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 100));
	OK(lock(copy, F_OFD_SETLK, F_WRLCK, 50, 100));
	FAILS_EITHER(EAGAIN, EACCES, lock(other, F_OFD_SETLK, F_RDLCK, 149, 1));
	FAILS_EITHER(EAGAIN, EACCES, lock(other, F_SETLK, F_RDLCK, 0, 1));
	OK(lock(other, F_OFD_SETLK, F_WRLCK, 150, 1));
	CHILD {
		OK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
	}
	close(OK(open("f", O_RDWR)));
	close(fd);
	FAILS_EITHER(EAGAIN, EACCES, lock(other, F_OFD_SETLK, F_RDLCK, 0, 1));
	close(copy);
	OK(lock(other, F_OFD_SETLK, F_WRLCK, 0, 0));
}

CASE(unlinked, "locks work on a file that has no name any more")
{
	int fd = open_new("f"), other = OK(open("f", O_RDWR));

	OK(unlink("f"));
	OK(flock(fd, LOCK_EX));
	FAILS(EWOULDBLOCK, flock(other, LOCK_EX | LOCK_NB));
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	CHILD {
		FAILS_EITHER(EAGAIN, EACCES, lock(other, F_SETLK, F_RDLCK, 0, 1));
	}
}

/* Four processes add to a number in a file, 100 times each, while they hold a lock on it. */
static void add_up(int (*hold)(int), int (*release)(int))
{
	int fd = open_new("f");
	long sum = 0;

	OK(pwrite(fd, &sum, sizeof sum, 0));
	PROCESSES(4) {
		int own = OK(open("f", O_RDWR));

		for (int round = 0; round < 100; round++) {
			long number;

			OK(hold(own));
			EQ(sizeof number, OK(pread(own, &number, sizeof number, 0)));
			number++;
			OK(pwrite(own, &number, sizeof number, 0));
			OK(release(own));
		}
	}
	OK(pread(fd, &sum, sizeof sum, 0));
	EQ(400, sum);
}

static int hold_flock(int fd)
{
	return flock(fd, LOCK_EX);
}

static int release_flock(int fd)
{
	return flock(fd, LOCK_UN);
}

static int hold_part(int fd)
{
	return lock(fd, F_SETLKW, F_WRLCK, 0, sizeof(long));
}

static int release_part(int fd)
{
	return lock(fd, F_SETLK, F_UNLCK, 0, sizeof(long));
}

CASE(flock_excludes, "four processes that add to a number in a file under a flock add up")
{
	add_up(hold_flock, release_flock);
}

CASE(posix_excludes, "and so do four that lock the part where the number is")
{
	add_up(hold_part, release_part);
}
