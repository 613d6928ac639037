/* mkdir(2) and rmdir(2). */
#include "harness.h"

CASE(mkdir_makes, "mkdir makes an empty directory with the mode asked for")
{
	OK(mkdir("d", 0750));

	struct stat status = stat_of("d");

	MODE(S_IFDIR | 0750, status.st_mode);
	EQ(geteuid(), status.st_uid);
	EQ(getegid(), status.st_gid);
	EQ(0, entries_of("d"));
	EQ(inode_of("d"), inode_of("d/."));
	EQ(inode_of("."), inode_of("d/.."));
}

CASE(mkdir_umask, "the umask takes bits away from a new directory's mode")
{
	umask(027);
	OK(mkdir("d", 0777));
	MODE(0750, mode_of("d"));
}

CASE(mkdir_special_bits, "mkdir takes the sticky bit, and neither setuid nor setgid")
{
	OK(mkdir("d", 07755));
	MODE(01755, mode_of("d"));
}

CASE(mkdir_existing, "mkdir is EEXIST for whatever is there, a symlink to nowhere too")
{
	for (int type = 0; type < types_here(); type++) {
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		FAILS(EEXIST, mkdir(type_names[type], 0755));
	}
	CHECK(!exists("nowhere"));
	no_context();
	FAILS(EEXIST, mkdir(".", 0755));
	FAILS(EEXIST, mkdir("..", 0755));
	FAILS(EEXIST, mkdir("/", 0755));
	FAILS(EEXIST, mkdir("directory/", 0755));
	FAILS(EEXIST, mkdir("directory/.", 0755));
}

CASE(mkdir_trailing, "mkdir takes a slash at the end, but not a dot")
{
	OK(mkdir("d/", 0755));
	EQ(S_IFDIR, type_of("d"));
	OK(mkdir("e///", 0755));
	EQ(S_IFDIR, type_of("e"));
	FAILS(ENOENT, mkdir("f/.", 0755));
	FAILS(ENOENT, mkdir("f/..", 0755));
	OK(symlink("nowhere", "s"));
	FAILS(EEXIST, mkdir("s/", 0755));
}

/* Some filesystems count a directory's subdirectories as links to it, others always say 1. */
static void expect_links(const char *path, long subdirectories)
{
	long links = links_of(path);

	context("%s has %ld subdirectories", path, subdirectories);
	if (links != 1)
		EQ(2 + subdirectories, links);
	no_context();
}

CASE(links, "a directory has a link for its name, for itself, and for each directory in it, or says 1")
{
	char name[16];

	make_dir("d");
	expect_links("d", 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "d/%d", i);
		make_dir(name);
		expect_links("d", i + 1);
	}
	make_file("d/file");
	OK(symlink("0", "d/link"));
	expect_links("d", 100);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "d/%d", i);
		OK(rmdir(name));
	}
	expect_links("d", 50);
	make_dir("e");
	OK(rename("d/50", "e/50"));
	expect_links("d", 49);
	expect_links("e", 1);
}

CASE(rmdir_removes, "rmdir removes an empty directory")
{
	make_dir("d");
	make_dir("d/e");
	OK(rmdir("d/e"));
	CHECK(!exists("d/e"));
	OK(rmdir("d/"));
	CHECK(!exists("d"));
	FAILS(ENOENT, rmdir("d"));
}

CASE(rmdir_not_empty, "rmdir refuses a directory that has anything in it")
{
	for (int type = 0; type < types_here(); type++) {
		context("%s", type_names[type]);
		make_dir("d");
		make_of_type(type, "d/x");
		FAILS_EITHER(ENOTEMPTY, EEXIST, rmdir("d"));
		CHECK(exists("d/x"));
		OK(type == DIRECTORY ? rmdir("d/x") : unlink("d/x"));
		OK(rmdir("d"));
	}
}

CASE(rmdir_other_types, "rmdir is ENOTDIR for anything else, also a symlink to a directory")
{
	make_dir("empty");
	OK(symlink("empty", "s"));
	FAILS(ENOTDIR, rmdir("s"));
	FAILS(ENOTDIR, rmdir("s/"));
	for (int type = 0; type < types_here(); type++) {
		if (type == DIRECTORY)
			continue;
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		FAILS(ENOTDIR, rmdir(type_names[type]));
		CHECK(exists(type_names[type]));
	}
}

CASE(rmdir_dots, "rmdir is EINVAL for a path that ends in a dot, ENOTEMPTY for two")
{
	make_dir("d");
	make_dir("d/e");
	FAILS(EINVAL, rmdir("d/e/."));
	FAILS(EINVAL, rmdir("."));
	FAILS_EITHER(ENOTEMPTY, EEXIST, rmdir("d/e/.."));
	FAILS(EBUSY, rmdir("/"));
	CHECK(exists("d/e"));
}

CASE(rmdir_while_open, "a removed directory that is open, or someone's working directory, is empty for good")
{
	make_dir("d");
	make_dir("e");

	int fd = OK(open("d", O_RDONLY | O_DIRECTORY));

	OK(rmdir("d"));
	EQ(0, fstat_of(fd).st_nlink);
	EQ(S_IFDIR, fstat_of(fd).st_mode & S_IFMT);
	FAILS(ENOENT, mkdirat(fd, "x", 0755));
	FAILS(ENOENT, linkat(AT_FDCWD, "e", fd, "x", 0));
	FAILS(ENOENT, renameat(AT_FDCWD, "e", fd, "x"));
	CHILD {
		char path[4096];

		OK(chdir("e"));
		OK(rmdir("../e"));
		FAILS(ENOENT, open("x", O_CREAT | O_WRONLY, 0644));
		CHECK(getcwd(path, sizeof path) == NULL);
		EQ(ENOENT, errno);
		EQ(0, entries_of("."));
	}
	CHECK(!exists("e"));
}

CASE(rmdir_and_again, "a name can be a directory, a file and a directory again, each with an inode of its own")
{
	for (int round = 0; round < 50; round++) {
		make_dir("x");
		make_file("x/f");
		OK(unlink("x/f"));
		FAILS(ENOENT, open("x/f", O_RDONLY));
		OK(rmdir("x"));
		make_file("x");
		FAILS(ENOTDIR, open("x/f", O_RDONLY));
		OK(unlink("x"));
	}
}

CASE(deep, "directories nest a hundred deep, and each knows its parent")
{
	long inodes[101];

	inodes[0] = inode_of(".");
	for (int depth = 1; depth <= 100; depth++) {
		make_dir("d");
		OK(chdir("d"));
		inodes[depth] = inode_of(".");
	}
	for (int depth = 100; depth > 0; depth--) {
		EQ(inodes[depth], inode_of("."));
		OK(chdir(".."));
		OK(rmdir("d"));
	}
	EQ(inodes[0], inode_of("."));
}

CASE(set_group_id, "what is made in a directory with setgid has its group; directories have the bit too")
{
	need_users();
	make_dir("d");
	OK(chown("d", ALICE.uid, BOB.gid));
	OK(chmod("d", 02777));
	AS(ALICE) {
		make_file("d/f");
		make_dir("d/e");
		OK(symlink("x", "d/s"));
		OK(mkfifo("d/p", 0644));
	}
	EQ(BOB.gid, stat_of("d/f").st_gid);
	EQ(BOB.gid, stat_of("d/e").st_gid);
	EQ(BOB.gid, stat_of("d/s").st_gid);
	EQ(BOB.gid, stat_of("d/p").st_gid);
	EQ(ALICE.uid, stat_of("d/f").st_uid);
	MODE(0644, mode_of("d/f"));
	MODE(02755, mode_of("d/e"));
	MODE(0644, mode_of("d/p"));
}
