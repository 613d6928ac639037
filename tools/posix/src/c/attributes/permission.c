/* Who may do what: the bits of the mode, for owner, group and others, on files and on directories. */
#include "harness.h"

/* What ALICE may do with a file, by trying and by asking. */
static void expect_rights(const char *path, int rights)
{
	static const struct {
		int right, flags;
	} tries[] = {{4, O_RDONLY}, {2, O_WRONLY}, {6, O_RDWR}, {2, O_WRONLY | O_APPEND}};

	for (int i = 0; i < ARRAY_LENGTH(tries); i++) {
		if ((rights & tries[i].right) == tries[i].right)
			close(OK(open(path, tries[i].flags)));
		else
			FAILS(EACCES, open(path, tries[i].flags));
	}
	for (int asked = 1; asked < 8; asked++) {
		context("mode 0%o, asked for %d", mode_of(path), asked);
		if ((rights & asked) == asked)
			OK(access(path, asked));
		else
			FAILS(EACCES, access(path, asked));
	}
}

CASE(owner, "for the owner his bits count, and no others")
{
	need_users();
	make_file("f");
	OK(chown("f", ALICE.uid, ALICE.gid));
	for (int rights = 0; rights < 8; rights++) {
		OK(chmod("f", rights << 6 | (7 - rights) * 011));
		AS(ALICE) {
			expect_rights("f", rights);
		}
	}
}

CASE(group, "for a member of the group the group's bits count, and no others")
{
	need_users();
	make_file("f");
	OK(chown("f", BOB.uid, ALICE.gid));
	for (int rights = 0; rights < 8; rights++) {
		OK(chmod("f", rights << 3 | (7 - rights) * 0101));
		AS(ALICE) {
			expect_rights("f", rights);
		}
		AS(CAROL) { /* it is not her first group */
			expect_rights("f", rights);
		}
	}
}

CASE(others, "for others the last bits count, and no others")
{
	need_users();
	make_file("f");
	OK(chown("f", BOB.uid, BOB.gid));
	for (int rights = 0; rights < 8; rights++) {
		OK(chmod("f", rights | (7 - rights) * 0110));
		AS(ALICE) {
			expect_rights("f", rights);
		}
	}
}

CASE(root, "root reads and writes everything, and executes what anybody may execute")
{
	need_root();
	make_file("f");
	OK(chown("f", ALICE.uid, ALICE.gid));
	for (mode_t mode = 0; mode < 01000; mode += 5) {
		OK(chmod("f", mode));
		close(OK(open("f", O_RDWR)));
		OK(access("f", R_OK | W_OK));
		if (mode & 0111)
			OK(access("f", X_OK));
		else
			FAILS(EACCES, access("f", X_OK));
	}
	make_dir_mode("d", 0);
	OK(access("d", R_OK | W_OK | X_OK));
	make_file("d/f");
	EQ(1, entries_of("d"));
}

CASE(own_file, "who isn't root is held by his own file's mode")
{
	AS_ORDINARY {
		make_file("f");
		for (int rights = 0; rights < 8; rights++) {
			OK(chmod("f", rights << 6));
			expect_rights("f", rights);
		}
	}
}

CASE(search, "without x on a directory nothing in it can be reached")
{
	AS_ORDINARY {
		struct stat status;

		make_dir("d");
		make_file("d/f");
		make_dir("d/e");
		make_file("d/e/f");

		int directory = OK(open("d", O_RDONLY));

		OK(chmod("d", 0600));
		FAILS(EACCES, stat("d/f", &status));
		FAILS(EACCES, stat("d/missing", &status));
		FAILS(EACCES, stat("d/.", &status));
		FAILS(EACCES, stat("d/..", &status));
		FAILS(EACCES, open("d/f", O_RDONLY));
		FAILS(EACCES, open("d/e/f", O_RDONLY));
		FAILS(EACCES, openat(directory, "f", O_RDONLY));
		FAILS(EACCES, chmod("d/f", 0600));
		FAILS(EACCES, unlink("d/f"));
		FAILS(EACCES, rename("d/f", "f"));
		FAILS(EACCES, open("d/g", O_CREAT | O_WRONLY, 0644));
		FAILS(EACCES, mkdir("d/g", 0755));
		FAILS(EACCES, chdir("d"));
		OK(stat("d", &status));
		EQ(2, entries_of("d")); /* r is enough for the names */
		OK(chmod("d", 0700));
		OK(stat("d/e/f", &status));
	}
}

CASE(list, "without r on a directory it can't be listed, and what is in it still be reached")
{
	AS_ORDINARY {
		make_dir("d");
		write_text("d/f", "contents");
		OK(chmod("d", 0300));
		FAILS(EACCES, open("d", O_RDONLY));
		SAME("contents", text_of("d/f"));
		make_file("d/g");
		OK(unlink("d/g"));
		OK(chdir("d"));
		SAME("contents", text_of("f"));
		OK(chmod(".", 0700));
	}
}

CASE(change_directory, "without w on a directory nothing can be made, renamed or removed in it")
{
	AS_ORDINARY {
		make_dir("d");
		make_dir("d/e");
		write_text("d/f", "contents");
		make_file("f");
		OK(chmod("d", 0500));
		FAILS(EACCES, open("d/new", O_CREAT | O_WRONLY, 0644));
		FAILS(EACCES, mkdir("d/new", 0755));
		FAILS(EACCES, symlink("x", "d/new"));
		FAILS(EACCES, mkfifo("d/new", 0644));
		FAILS(EACCES, link("f", "d/new"));
		FAILS(EACCES, unlink("d/f"));
		FAILS(EACCES, rmdir("d/e"));
		FAILS(EACCES, rename("d/f", "d/new"));
		FAILS(EACCES, rename("d/f", "new"));
		FAILS(EACCES, rename("f", "d/f"));
		FAILS(EACCES, rename("f", "d/new"));
		FAILS(EEXIST, mkdir("d/e", 0755));
		close(OK(open("d/f", O_RDWR | O_CREAT, 0644)));
		OK(chmod("d/f", 0600));
		SAME("contents", text_of("d/f"));
		OK(chmod("d", 0700));
	}
}

CASE(others_directory, "in somebody else's directory one may do what its mode lets others do")
{
	need_users();
	make_dir("d");
	make_file("d/f");
	OK(chown("d", BOB.uid, BOB.gid));
	for (int rights = 0; rights < 8; rights++) {
		context("rights %d", rights);
		OK(chmod("d", 0700 | rights));
		AS(ALICE) {
			struct stat status;
			int opened = open("d", O_RDONLY | O_DIRECTORY);

			EQ((rights & 4) != 0, opened >= 0);
			EQ((rights & 1) != 0, stat("d/f", &status) == 0);
			EQ((rights & 3) == 3, mkdir("d/new", 0755) == 0);
			EQ((rights & 3) == 3, rename("d/f", "d/g") == 0);
			EQ((rights & 3) == 3, rename("d/g", "d/f") == 0);
			EQ((rights & 3) == 3, rmdir("d/new") == 0);
			EQ((rights & 1) != 0, chdir("d") == 0);
		}
	}
}

CASE(effective_ids, "access asks for the real user, faccessat with AT_EACCESS and open for the effective one")
{
	need_users();
	make_file_mode("f", 0600);
	OK(chown("f", ALICE.uid, ALICE.gid));
	CHILD {
		OK(setresuid(BOB.uid, ALICE.uid, 0));
		FAILS(EACCES, access("f", R_OK));
		OK(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
		close(OK(open("f", O_RDWR)));
	}
	CHILD {
		OK(setresuid(ALICE.uid, BOB.uid, 0));
		OK(access("f", R_OK | W_OK));
		FAILS(EACCES, faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
		FAILS(EACCES, open("f", O_RDONLY));
	}
}

CASE(who_makes_it, "a new file belongs to the effective user and group")
{
	need_users();
	OK(chmod(".", 0777));
	CHILD {
		OK(setresgid(0, BOB.gid, 0));
		OK(setresuid(0, ALICE.uid, 0));
		make_file("f");
	}
	EQ(ALICE.uid, stat_of("f").st_uid);
	EQ(BOB.gid, stat_of("f").st_gid);
}

CASE(open_descriptor, "what is open stays usable when its path can't be reached any more")
{
	AS_ORDINARY {
		make_dir("d");

		int fd = open_new("d/f");

		write_pattern(fd, 0, 5000, 1);
		OK(chmod("d", 0));
		write_pattern(fd, 5000, 5000, 1);
		expect_pattern(fd, 0, 10000, 1);
		OK(fchmod(fd, 0600));
		FAILS(EACCES, open("d/f", O_RDONLY));
		OK(chmod("d", 0700));
	}
}

CASE(drop_box, "a directory with w and x for all takes files of everybody, and shows none")
{
	need_users();
	make_dir_mode("d", 0733);
	AS(ALICE) {
		write_text("d/of-alice", "contents");
		FAILS(EACCES, open("d", O_RDONLY));
	}
	AS(BOB) {
		SAME("contents", text_of("d/of-alice"));
		FAILS(EACCES, open("d/of-alice", O_WRONLY));
		OK(unlink("d/of-alice"));
	}
}
