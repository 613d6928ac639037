/* Cases that don't hold, each in another way: what the harness makes of them is what its own test looks at. */
#include "harness.h"

#include <signal.h>

CASE(holds, "a case that holds")
{
	make_file("f");
	EQ(0, size_of("f"));
}

CASE(call_fails, "a call that should succeed")
{
	OK(open("missing", O_RDONLY));
}

CASE(call_succeeds, "a call that should fail")
{
	FAILS(EEXIST, mkdir("d", 0755));
}

CASE(other_errno, "a call that should fail otherwise")
{
	FAILS_EITHER(EEXIST, EPERM, rmdir("missing"));
}

CASE(values, "a value that should be another, in a loop")
{
	make_file_mode("f", 0640);
	for (int i = 0; i < 3; i++) {
		context("round %d", i);
		MODE(i < 2 ? 0640 : 0600, mode_of("f"));
	}
}

CASE(text, "a text that should be another, with odd bytes")
{
	write_text("f", "\"tab\t\377\\");
	SAME("plain", text_of("f"));
}

CASE(contents, "contents that should be others")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 300000, 1);
	OK(pwrite(fd, "", 1, 299999));
	expect_pattern(fd, 0, 300000, 1);
}

CASE(in_helper, "a failure in a helper is noted where it was called")
{
	make_file("missing/f");
}

CASE(in_child, "a failure in a child")
{
	CHILD {
		EQ(1, 2);
	}
	EQ(3, 4);
}

CASE(beside, "a failure in a process beside")
{
	BESIDE {
		EQ(1, 2);
	}
}

CASE(one_of_many, "a failure in one of many processes")
{
	PROCESSES(4) {
		EQ(self == 2, false);
	}
}

CASE(crash, "a crash")
{
	raise(SIGSEGV);
}

CASE(crash_in_child, "a crash in a child")
{
	CHILD {
		raise(SIGBUS);
	}
}

CASE(endless, "a case without an end, with a child that doesn't listen")
{
	BESIDE {
		signal(SIGTERM, SIG_IGN);
		for (;;)
			pause();
	}
	await(1);
}

CASE(left_running, "a case that fails while another process of it still writes")
{
	BESIDE {
		for (int i = 0;; i = (i + 1) % 100) {
			char name[16];

			snprintf(name, sizeof name, "%d", i);
			close(open(name, O_CREAT | O_WRONLY, 0644));
			reach(1);
		}
	}
	await(1);
	EQ(1, 2);
}

CASE(skipped, "a case that can't be run here")
{
	skip("there is no %s here", "moon");
}

CASE(optional, "a call that need not be there")
{
	errno = EOPNOTSUPP;
	OPTIONAL(-1);
}

CASE(closed_directories, "what is hard to remove is removed")
{
	make_dir("d");
	make_dir("d/e");
	make_file("d/e/f");
	OK(chmod("d/e", 0));
	OK(chmod("d", 0));
	OK(chmod(".", 0500));
}
