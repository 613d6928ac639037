/* Sticky directories: only the owner of a file, or of the directory, or root, may remove or rename it. */
#include "harness.h"

/* A sticky directory of BOB's for everybody, with a file and a directory of ALICE's in it. */
static void make_shared(void)
{
	need_users();
	make_dir_mode("t", 01777);
	OK(chown("t", BOB.uid, BOB.gid));
	make_dir_mode("free", 0777);
	AS(ALICE) {
		make_file_mode("t/f", 0666);
		make_dir_mode("t/d", 0777);
	}
}

CASE(unlink, "others can't unlink or rmdir")
{
	make_shared();
	AS(CAROL) {
		FAILS(EPERM, unlink("t/f"));
		FAILS(EPERM, rmdir("t/d"));
		make_file("t/own");
		OK(unlink("t/own"));
	}
	CHECK(exists("t/f"));
	CHECK(exists("t/d"));
}

CASE(rename_away, "others can't rename, within the directory or out of it")
{
	make_shared();
	AS(CAROL) {
		FAILS(EPERM, rename("t/f", "t/g"));
		FAILS(EPERM, rename("t/f", "free/g"));
		FAILS(EPERM, rename("t/d", "free/g"));
		make_file("t/own");
		OK(rename("t/own", "t/other"));
		OK(rename("t/other", "free/other"));
	}
	CHECK(exists("t/f"));
}

CASE(rename_over, "others can't replace")
{
	make_shared();
	AS(CAROL) {
		make_file("t/own");
		make_dir("t/own-directory");
		FAILS(EPERM, rename("t/own", "t/f"));
		FAILS(EPERM, rename("t/own-directory", "t/d"));
		make_file("free/own");
		FAILS(EPERM, rename("free/own", "t/f"));
		OK(rename("free/own", "t/own"));
	}
}

CASE(exchange, "others can't exchange")
{
	make_shared();
	OPTIONAL_OR(EINVAL, renameat2(AT_FDCWD, "t/f", AT_FDCWD, "t/d", RENAME_EXCHANGE));
	AS(CAROL) {
		make_file("t/own");
		make_file("free/own");
		FAILS(EPERM, renameat2(AT_FDCWD, "t/own", AT_FDCWD, "t/f", RENAME_EXCHANGE));
		FAILS(EPERM, renameat2(AT_FDCWD, "t/f", AT_FDCWD, "free/own", RENAME_EXCHANGE));
		OK(renameat2(AT_FDCWD, "t/own", AT_FDCWD, "free/own", RENAME_EXCHANGE));
	}
}

CASE(owners, "the file's owner, the directory's owner and root can")
{
	make_shared();
	AS(ALICE) {
		OK(rename("t/f", "t/g"));
		OK(unlink("t/g"));
		make_file("t/f");
	}
	AS(BOB) {
		OK(rename("t/f", "t/g"));
		OK(unlink("t/g"));
		OK(rmdir("t/d"));
	}
	AS(ALICE) {
		make_file("t/f");
	}
	OK(unlink("t/f"));
}

CASE(contents, "what files let others do is not touched: they may write, and make files of their own")
{
	make_shared();
	AS(CAROL) {
		int fd = OK(open("t/f", O_WRONLY));

		OK(write(fd, "x", 1));
		OK(link("t/f", "free/linked"));
		make_file("t/d/f");
		OK(unlink("t/d/f"));
	}
}

CASE(without_the_bit, "without the bit others can")
{
	make_shared();
	OK(chmod("t", 0777));
	AS(CAROL) {
		OK(rename("t/f", "t/g"));
		OK(unlink("t/g"));
		OK(rmdir("t/d"));
	}
}
