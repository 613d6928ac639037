/* chown(2), lchown(2) and fchown(2): who may give what to whom. */
#include "harness.h"

#define EXPECT_OWNER(path, user, group)               \
	do {                                          \
		EQ((long)(user), stat_of(path).st_uid);   \
		EQ((long)(group), stat_of(path).st_gid);  \
	} while (0)

CASE(root, "root gives any file to anybody; -1 leaves the owner or the group as it was")
{
	need_root();
	for (int type = 0; type < types_here(); type++) {
		const char *name = type_names[type];

		context("%s", name);
		make_of_type(type, name);
		OK(lchown(name, 1234, 5678));
		EXPECT_OWNER(name, 1234, 5678);
		OK(lchown(name, -1, 42));
		EXPECT_OWNER(name, 1234, 42);
		OK(lchown(name, 43, -1));
		EXPECT_OWNER(name, 43, 42);
		OK(lchown(name, -1, -1));
		EXPECT_OWNER(name, 43, 42);
	}
}

CASE(large_numbers, "users and groups have 32 bits")
{
	static const uint32_t numbers[] = {0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe};

	need_root();
	make_file("f");
	for (int i = 0; i < ARRAY_LENGTH(numbers); i++) {
		OK(chown("f", numbers[i], numbers[i] - 1));
		EXPECT_OWNER("f", numbers[i], numbers[i] - 1);
	}
}

CASE(symlinks, "chown is for what a symlink names, lchown for the symlink")
{
	need_root();
	make_file("f");
	OK(symlink("f", "s"));
	OK(chown("s", 10, 11));
	OK(lchown("s", 20, 21));
	EXPECT_OWNER("f", 10, 11);
	EXPECT_OWNER("s", 20, 21);
	OK(fchownat(AT_FDCWD, "s", 30, 31, AT_SYMLINK_NOFOLLOW));
	EXPECT_OWNER("s", 30, 31);
	EXPECT_OWNER("f", 10, 11);
}

CASE(descriptor, "fchown is for an open file, and needs no permission to write")
{
	need_root();
	make_file("f");

	int fd = OK(open("f", O_RDONLY)), path = OK(open("f", O_PATH));

	OK(fchown(fd, 10, 11));
	EXPECT_OWNER("f", 10, 11);
	FAILS(EBADF, fchown(path, 1, 1));
	OK(fchownat(path, "", 12, 13, AT_EMPTY_PATH));
	EXPECT_OWNER("f", 12, 13);
}

CASE(own_groups, "an owner may give a file to a group of his, and to nobody else")
{
	need_users();
	make_file("f");
	OK(chown("f", CAROL.uid, CAROL.gid));
	AS(CAROL) {
		OK(chown("f", -1, ALICE.gid));
		OK(chown("f", CAROL.uid, CAROL.gid));
		OK(chown("f", CAROL.uid, ALICE.gid));
		FAILS(EPERM, chown("f", -1, BOB.gid));
		FAILS(EPERM, chown("f", BOB.uid, -1));
		FAILS(EPERM, chown("f", BOB.uid, CAROL.gid));
		FAILS(EPERM, chown("f", 0, 0));
	}
	EXPECT_OWNER("f", CAROL.uid, ALICE.gid);
}

CASE(group_left_alone, "an owner may name the group that a file has, even if he isn't in it")
{
	need_users();
	make_file("f");
	OK(chown("f", ALICE.uid, BOB.gid));
	AS(ALICE) {
		OK(chown("f", -1, BOB.gid));
		OK(chown("f", ALICE.uid, BOB.gid));
		OK(chown("f", -1, ALICE.gid));
		FAILS(EPERM, chown("f", -1, BOB.gid));
	}
}

CASE(not_the_owner, "who doesn't own a file can't give it away, nor take it")
{
	need_users();
	make_file_mode("f", 0666);
	OK(chown("f", ALICE.uid, ALICE.gid));
	AS(BOB) {
		FAILS(EPERM, chown("f", BOB.uid, -1));
		FAILS(EPERM, chown("f", -1, BOB.gid));
		FAILS(EPERM, chown("f", ALICE.uid, ALICE.gid));
	}
	AS(CAROL) {
		FAILS(EPERM, chown("f", -1, CAROL.gid));
	}
	EXPECT_OWNER("f", ALICE.uid, ALICE.gid);
}

CASE(counts_at_once, "the new owner has the owner's rights at once, the old one hasn't")
{
	need_users();
	make_file_mode("f", 0600);
	OK(chown("f", ALICE.uid, ALICE.gid));
	AS(ALICE) {
		close(OK(open("f", O_RDWR)));
	}
	OK(chown("f", BOB.uid, BOB.gid));
	AS(ALICE) {
		FAILS(EACCES, open("f", O_RDWR));
		FAILS(EPERM, chmod("f", 0644));
	}
	AS(BOB) {
		close(OK(open("f", O_RDWR)));
	}
}

CASE(new_files, "a new file belongs to who makes it, and to his group")
{
	need_users();
	OK(chmod(".", 0777));
	AS(ALICE) {
		for (int type = 0; type < DEVICE; type++)
			make_of_type(type, type_names[type]);
	}
	for (int type = 0; type < DEVICE; type++) {
		context("%s", type_names[type]);
		EXPECT_OWNER(type_names[type], ALICE.uid, ALICE.gid);
	}
}
