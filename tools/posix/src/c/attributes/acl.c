/*
 * POSIX access control lists, as the extended attributes system.posix_acl_access and system.posix_acl_default:
 * what is stored, what it permits, and what new files inherit. Sources: acl(5); POSIX.1e draft 17; linux/posix_acl_xattr.h.
 */
#include "harness.h"

#include <endian.h>
#include <sys/xattr.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

enum tag { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct entry {
	enum tag tag;
	unsigned permissions;
	uint32_t id;
};

#define NO_ID 0xffffffff
#define ENTRIES_MAX 64

/* As it goes through the system calls: little-endian. */
struct packed {
	uint32_t version;
	struct {
		uint16_t tag, permissions;
		uint32_t id;
	} entries[ENTRIES_MAX];
};

static size_t pack(struct packed *packed, const struct entry *entries, int count)
{
	packed->version = htole32(2);
	for (int i = 0; i < count; i++) {
		bool named = entries[i].tag == USER || entries[i].tag == GROUP;

		packed->entries[i].tag = htole16(entries[i].tag);
		packed->entries[i].permissions = htole16(entries[i].permissions);
		packed->entries[i].id = htole32(named ? entries[i].id : NO_ID);
	}
	return 4 + 8 * count;
}

static int set_entries(const char *path, const char *name, const struct entry *entries, int count)
{
	struct packed packed;
	size_t size = pack(&packed, entries, count);

	return setxattr(path, name, &packed, size, 0);
}

#define LIST(...) ((struct entry[]){__VA_ARGS__}), ARRAY_LENGTH(((struct entry[]){__VA_ARGS__}))
#define SET_ACCESS(path, ...) set_entries(path, ACCESS, LIST(__VA_ARGS__))
#define SET_DEFAULT(path, ...) set_entries(path, DEFAULT, LIST(__VA_ARGS__))

static void expect_entries(struct place place, const char *path, const char *name, const struct entry *entries, int count)
{
	struct packed wanted, seen;
	size_t size = pack(&wanted, entries, count);

	long seen_size = check_ok(place, "getxattr of an access control list", getxattr(path, name, &seen, sizeof seen));

	check_equal(place, name, size, seen_size);
	check_bytes(place, name, &wanted, &seen, size);
}

#define EXPECT_ACCESS(path, ...) expect_entries(HERE, path, ACCESS, LIST(__VA_ARGS__))
#define EXPECT_DEFAULT(path, ...) expect_entries(HERE, path, DEFAULT, LIST(__VA_ARGS__))

/* Skips the case where there are no access control lists. */
static void need_lists(void)
{
	make_file("probe");
	OPTIONAL(SET_ACCESS("probe", {USER_OBJ, 6}, {USER, 4, 1234}, {GROUP_OBJ, 4}, {MASK, 4}, {OTHER, 0}));
	OK(unlink("probe"));
}

static bool may(const char *path, int mode)
{
	if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0)
		return true;
	EQ(EACCES, errno);
	return false;
}

CASE(stored, "a list comes back as it was set, and the group's bits of the mode are its mask")
{
	need_lists();
	make_file_mode("f", 0600);
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {USER, 5, 1000}, {GROUP_OBJ, 1}, {GROUP, 7, 2000}, {MASK, 6}, {OTHER, 4}));
	EXPECT_ACCESS("f", {USER_OBJ, 6}, {USER, 5, 1000}, {GROUP_OBJ, 1}, {GROUP, 7, 2000}, {MASK, 6}, {OTHER, 4});
	MODE(0664, mode_of("f"));
	OK(SET_ACCESS("f", {USER_OBJ, 7}, {USER, 0, 5}, {GROUP_OBJ, 7}, {MASK, 0}, {OTHER, 0}));
	EXPECT_ACCESS("f", {USER_OBJ, 7}, {USER, 0, 5}, {GROUP_OBJ, 7}, {MASK, 0}, {OTHER, 0});
	MODE(0700, mode_of("f"));
}

CASE(minimal, "a list of three entries is a mode, and is kept as that only")
{
	need_lists();
	make_file_mode("f", 0600);
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {GROUP_OBJ, 5}, {OTHER, 4}));
	MODE(0654, mode_of("f"));
	FAILS(ENODATA, getxattr("f", ACCESS, NULL, 0));
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {USER, 5, 1000}, {GROUP_OBJ, 1}, {MASK, 7}, {OTHER, 4}));
	OK(SET_ACCESS("f", {USER_OBJ, 7}, {GROUP_OBJ, 0}, {OTHER, 1}));
	MODE(0701, mode_of("f"));
	FAILS(ENODATA, getxattr("f", ACCESS, NULL, 0));
}

CASE(mask_without_names, "a mask alone is kept too")
{
	need_lists();
	make_file_mode("f", 0600);
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {GROUP_OBJ, 7}, {MASK, 4}, {OTHER, 0}));
	EXPECT_ACCESS("f", {USER_OBJ, 6}, {GROUP_OBJ, 7}, {MASK, 4}, {OTHER, 0});
	MODE(0640, mode_of("f"));
}

CASE(long_list, "thirty names are kept")
{
	struct entry all[34];
	int count = 0;

	need_lists();
	all[count++] = (struct entry){USER_OBJ, 7, 0};
	for (int i = 0; i < 15; i++)
		all[count++] = (struct entry){USER, i % 8, 1000 + i};
	all[count++] = (struct entry){GROUP_OBJ, 5, 0};
	for (int i = 0; i < 15; i++)
		all[count++] = (struct entry){GROUP, (i + 3) % 8, 0x10000 + i};
	all[count++] = (struct entry){MASK, 7, 0};
	all[count++] = (struct entry){OTHER, 1, 0};
	make_file("f");
	OK(set_entries("f", ACCESS, all, count));
	expect_entries(HERE, "f", ACCESS, all, count);
	MODE(0771, mode_of("f"));
}

static bool is_listed(const char *path, const char *name)
{
	char names[1024];
	long length = OK(listxattr(path, names, sizeof names));

	for (long at = 0; at < length; at += strlen(names + at) + 1)
		if (!strcmp(names + at, name))
			return true;
	return false;
}

CASE(listed, "lists are among the names of extended attributes while they are there")
{
	need_lists();
	make_dir("d");
	OK(SET_ACCESS("d", {USER_OBJ, 7}, {USER, 5, 1000}, {GROUP_OBJ, 5}, {MASK, 5}, {OTHER, 5}));
	CHECK(is_listed("d", ACCESS) && !is_listed("d", DEFAULT));
	OK(SET_DEFAULT("d", {USER_OBJ, 7}, {GROUP_OBJ, 5}, {OTHER, 5}));
	CHECK(is_listed("d", ACCESS) && is_listed("d", DEFAULT));
	OK(removexattr("d", ACCESS));
	CHECK(!is_listed("d", ACCESS) && is_listed("d", DEFAULT));
	OK(removexattr("d", DEFAULT));
	CHECK(!is_listed("d", ACCESS) && !is_listed("d", DEFAULT));
}

CASE(removed, "removing a list leaves the mode")
{
	need_lists();
	make_file_mode("f", 0600);
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {USER, 7, 1000}, {GROUP_OBJ, 1}, {MASK, 5}, {OTHER, 4}));
	OK(removexattr("f", ACCESS));
	FAILS(ENODATA, getxattr("f", ACCESS, NULL, 0));
	MODE(0654, mode_of("f"));
}

CASE(chmod, "chmod changes the owner's entry, the mask and the others', and not the group's entry")
{
	need_lists();
	make_file_mode("f", 0600);
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {USER, 7, 1000}, {GROUP_OBJ, 5}, {MASK, 7}, {OTHER, 4}));
	OK(chmod("f", 0710));
	EXPECT_ACCESS("f", {USER_OBJ, 7}, {USER, 7, 1000}, {GROUP_OBJ, 5}, {MASK, 1}, {OTHER, 0});
	MODE(0710, mode_of("f"));
	OK(chmod("f", 04777));
	EXPECT_ACCESS("f", {USER_OBJ, 7}, {USER, 7, 1000}, {GROUP_OBJ, 5}, {MASK, 7}, {OTHER, 7});
	MODE(04777, mode_of("f"));
}

CASE(refusals, "lists that aren't whole, in order, or of a known version are refused")
{
	struct packed packed;

	need_lists();
	make_file_mode("f", 0640);
	FAILS(EINVAL, SET_ACCESS("f", {USER_OBJ, 6}, {GROUP_OBJ, 4}));
	FAILS(EINVAL, SET_ACCESS("f", {USER_OBJ, 6}, {OTHER, 4}));
	FAILS(EINVAL, SET_ACCESS("f", {USER_OBJ, 6}, {USER, 4, 1000}, {GROUP_OBJ, 4}, {OTHER, 0}));
	FAILS(EINVAL, SET_ACCESS("f", {USER_OBJ, 6}, {USER_OBJ, 6}, {GROUP_OBJ, 4}, {OTHER, 0}));
	FAILS(EINVAL, SET_ACCESS("f", {USER_OBJ, 6}, {GROUP_OBJ, 4}, {MASK, 4}, {MASK, 4}, {OTHER, 0}));
	FAILS(EINVAL, SET_ACCESS("f", {USER_OBJ, 8}, {GROUP_OBJ, 4}, {OTHER, 0}));
	FAILS(EINVAL, SET_ACCESS("f", {USER_OBJ, 6}, {3, 4, 1000}, {GROUP_OBJ, 4}, {OTHER, 0}));

	size_t size = pack(&packed, LIST({USER_OBJ, 6}, {GROUP_OBJ, 4}, {OTHER, 0}));

	FAILS(EINVAL, setxattr("f", ACCESS, &packed, size - 1, 0));
	packed.version = htole32(1);
	FAILS(EOPNOTSUPP, setxattr("f", ACCESS, &packed, size, 0));
	MODE(0640, mode_of("f"));
	FAILS(ENODATA, getxattr("f", ACCESS, NULL, 0));
}

CASE(types, "symlinks have no lists, and only directories have default lists")
{
	need_lists();
	make_file("f");
	OK(symlink("nowhere", "s"));
	OK(mkfifo("p", 0600));
	FAILS(EACCES, SET_DEFAULT("f", {USER_OBJ, 7}, {GROUP_OBJ, 5}, {OTHER, 5}));

	struct packed packed;
	size_t size = pack(&packed, LIST({USER_OBJ, 7}, {GROUP_OBJ, 5}, {OTHER, 5}));

	FAILS(EOPNOTSUPP, lsetxattr("s", ACCESS, &packed, size, 0));
	FAILS(EOPNOTSUPP, lgetxattr("s", ACCESS, NULL, 0));
	OK(SET_ACCESS("p", {USER_OBJ, 6}, {USER, 6, 1000}, {GROUP_OBJ, 0}, {MASK, 6}, {OTHER, 0}));
	MODE(0660, mode_of("p"));
}

CASE(owner_only, "only the owner and root may set a list; everybody may read it")
{
	need_users();
	need_lists();
	make_file_mode("f", 0666);
	OK(chown("f", ALICE.uid, ALICE.gid));
	AS(BOB) {
		FAILS(EPERM, SET_ACCESS("f", {USER_OBJ, 6}, {USER, 7, BOB.uid}, {GROUP_OBJ, 0}, {MASK, 7}, {OTHER, 0}));
		FAILS(EPERM, SET_ACCESS("f", {USER_OBJ, 7}, {GROUP_OBJ, 7}, {OTHER, 7}));
	}
	AS(ALICE) {
		OK(SET_ACCESS("f", {USER_OBJ, 6}, {USER, 4, 1000}, {GROUP_OBJ, 0}, {MASK, 4}, {OTHER, 0}));
	}
	AS(BOB) {
		EXPECT_ACCESS("f", {USER_OBJ, 6}, {USER, 4, 1000}, {GROUP_OBJ, 0}, {MASK, 4}, {OTHER, 0});
		FAILS(EPERM, removexattr("f", ACCESS));
	}
}

CASE(named_user, "a named user may do what the entry and the mask both say")
{
	need_users();
	need_lists();
	write_text("f", "contents");
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {USER, 6, ALICE.uid}, {GROUP_OBJ, 0}, {MASK, 4}, {OTHER, 0}));
	AS(ALICE) {
		SAME("contents", text_of("f"));
		FAILS(EACCES, open("f", O_WRONLY));
		CHECK(may("f", R_OK) && !may("f", W_OK) && !may("f", X_OK));
	}
	AS(BOB) {
		FAILS(EACCES, open("f", O_RDONLY));
		FAILS(EACCES, open("f", O_WRONLY));
	}
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {USER, 6, ALICE.uid}, {GROUP_OBJ, 0}, {MASK, 6}, {OTHER, 0}));
	AS(ALICE) {
		close(OK(open("f", O_RDWR)));
	}
}

CASE(named_user_first, "a named user's entry counts, even if group or others may do more")
{
	need_users();
	need_lists();
	make_file("f");
	OK(chown("f", 0, ALICE.gid));
	OK(SET_ACCESS("f", {USER_OBJ, 7}, {USER, 0, ALICE.uid}, {GROUP_OBJ, 7}, {MASK, 7}, {OTHER, 7}));
	AS(ALICE) {
		CHECK(!may("f", R_OK) && !may("f", W_OK) && !may("f", X_OK));
		FAILS(EACCES, open("f", O_RDONLY));
	}
	AS(BOB) {
		CHECK(may("f", R_OK | W_OK | X_OK));
	}
}

CASE(owner_first, "the owner's entry counts for the owner, whatever names him besides, and the mask isn't for him")
{
	need_users();
	need_lists();
	make_file("f");
	OK(chown("f", ALICE.uid, BOB.gid));
	OK(SET_ACCESS("f", {USER_OBJ, 4}, {USER, 7, ALICE.uid}, {GROUP_OBJ, 7}, {MASK, 0}, {OTHER, 7}));
	AS(ALICE) {
		CHECK(may("f", R_OK) && !may("f", W_OK) && !may("f", X_OK));
	}
}

CASE(groups, "any entry of a group that one is in may permit, within the mask; if one matches, the others' entry doesn't count")
{
	need_users();
	need_lists();
	make_file("f");
	OK(chown("f", 0, ALICE.gid));
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {GROUP_OBJ, 4}, {GROUP, 2, CAROL.gid}, {MASK, 7}, {OTHER, 1}));
	AS(CAROL) {
		CHECK(may("f", R_OK) && may("f", W_OK) && !may("f", X_OK));
		CHECK(!may("f", R_OK | W_OK)); /* no single entry permits both */
	}
	AS(ALICE) {
		CHECK(may("f", R_OK) && !may("f", W_OK) && !may("f", X_OK));
	}
	AS(BOB) {
		CHECK(!may("f", R_OK) && !may("f", W_OK) && may("f", X_OK));
	}
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {GROUP_OBJ, 7}, {GROUP, 7, CAROL.gid}, {MASK, 2}, {OTHER, 7}));
	AS(CAROL) {
		CHECK(!may("f", R_OK) && may("f", W_OK) && !may("f", X_OK));
	}
}

CASE(directories, "lists of directories say who may list, search and change them")
{
	need_users();
	need_lists();
	make_dir_mode("d", 0700);
	make_file("d/f");
	OK(SET_ACCESS("d", {USER_OBJ, 7}, {USER, 1, ALICE.uid}, {USER, 7, BOB.uid}, {GROUP_OBJ, 0}, {MASK, 7}, {OTHER, 0}));
	AS(ALICE) {
		CHECK(exists("d/f"));
		FAILS(EACCES, open("d", O_RDONLY | O_DIRECTORY));
		FAILS(EACCES, mkdir("d/x", 0755));
	}
	AS(BOB) {
		EQ(1, entries_of("d"));
		make_file("d/g");
	}
	AS(CAROL) {
		struct stat status;

		FAILS(EACCES, lstat("d/f", &status));
	}
}

CASE(root, "root isn't held by lists, except that something must permit execution")
{
	need_root();
	need_lists();
	make_file("f");
	OK(SET_ACCESS("f", {USER_OBJ, 0}, {USER, 0, 0}, {GROUP_OBJ, 0}, {MASK, 0}, {OTHER, 0}));
	close(OK(open("f", O_RDWR)));
	CHECK(!may("f", X_OK));
	OK(SET_ACCESS("f", {USER_OBJ, 0}, {USER, 1, 1000}, {GROUP_OBJ, 0}, {MASK, 1}, {OTHER, 0}));
	CHECK(may("f", X_OK));
}

CASE(inherited_by_files, "a new file has the default list, less what its mode doesn't ask for; the umask doesn't count")
{
	need_lists();
	make_dir("d");
	OK(SET_DEFAULT("d", {USER_OBJ, 7}, {USER, 7, 1000}, {GROUP_OBJ, 5}, {MASK, 7}, {OTHER, 5}));
	umask(077);
	make_file_mode("d/f", 0640);
	EXPECT_ACCESS("d/f", {USER_OBJ, 6}, {USER, 7, 1000}, {GROUP_OBJ, 5}, {MASK, 4}, {OTHER, 0});
	MODE(0640, mode_of("d/f"));
	FAILS_EITHER(ENODATA, EACCES, getxattr("d/f", DEFAULT, NULL, 0));
	make_file_mode("d/g", 0777);
	EXPECT_ACCESS("d/g", {USER_OBJ, 7}, {USER, 7, 1000}, {GROUP_OBJ, 5}, {MASK, 7}, {OTHER, 5});
	MODE(0775, mode_of("d/g"));
	OK(mkfifo("d/p", 0622));
	EXPECT_ACCESS("d/p", {USER_OBJ, 6}, {USER, 7, 1000}, {GROUP_OBJ, 5}, {MASK, 2}, {OTHER, 0});
	MODE(0620, mode_of("d/p"));
}

CASE(inherited_by_directories, "a new directory has the default list as both of its own")
{
	need_lists();
	make_dir("d");
	OK(SET_DEFAULT("d", {USER_OBJ, 7}, {USER, 6, 1000}, {GROUP_OBJ, 5}, {MASK, 7}, {OTHER, 1}));
	umask(077);
	make_dir_mode("d/e", 0755);
	EXPECT_ACCESS("d/e", {USER_OBJ, 7}, {USER, 6, 1000}, {GROUP_OBJ, 5}, {MASK, 5}, {OTHER, 1});
	EXPECT_DEFAULT("d/e", {USER_OBJ, 7}, {USER, 6, 1000}, {GROUP_OBJ, 5}, {MASK, 7}, {OTHER, 1});
	MODE(0751, mode_of("d/e"));
	make_dir_mode("d/e/f", 0700);
	EXPECT_DEFAULT("d/e/f", {USER_OBJ, 7}, {USER, 6, 1000}, {GROUP_OBJ, 5}, {MASK, 7}, {OTHER, 1});
	MODE(0700, mode_of("d/e/f"));
}

CASE(inherited_minimal, "a default list of three entries stands in for the umask, and files have no list of their own")
{
	need_lists();
	make_dir("d");
	OK(SET_DEFAULT("d", {USER_OBJ, 7}, {GROUP_OBJ, 6}, {OTHER, 4}));
	EXPECT_DEFAULT("d", {USER_OBJ, 7}, {GROUP_OBJ, 6}, {OTHER, 4});
	umask(077);
	make_file_mode("d/f", 0666);
	MODE(0664, mode_of("d/f"));
	FAILS(ENODATA, getxattr("d/f", ACCESS, NULL, 0));
	make_dir_mode("d/e", 0777);
	MODE(0764, mode_of("d/e"));
	EXPECT_DEFAULT("d/e", {USER_OBJ, 7}, {GROUP_OBJ, 6}, {OTHER, 4});
	OK(symlink("x", "d/s"));
	MODE(0777, mode_of("d/s"));
	OK(removexattr("d", DEFAULT));
	make_file_mode("d/g", 0666);
	MODE(0600, mode_of("d/g"));
}

CASE(default_is_for_new, "a default list permits nothing on the directory itself")
{
	need_users();
	need_lists();
	make_dir_mode("d", 0700);
	OK(SET_DEFAULT("d", {USER_OBJ, 7}, {USER, 7, ALICE.uid}, {GROUP_OBJ, 7}, {MASK, 7}, {OTHER, 7}));
	MODE(0700, mode_of("d"));
	AS(ALICE) {
		FAILS(EACCES, open("d", O_RDONLY));
	}
	make_file_mode("d/f", 0600);
	OK(chmod("d", 0711));
	AS(ALICE) {
		FAILS(EACCES, open("d/f", O_RDONLY));
	}
	make_file_mode("d/g", 0660);
	AS(ALICE) {
		close(OK(open("d/g", O_RDWR)));
	}
}

CASE(moved, "a list stays with its file when that is renamed or linked; a default list isn't for what is moved in")
{
	need_lists();
	make_dir("d");
	make_file_mode("f", 0640);
	make_file_mode("g", 0644);
	OK(SET_DEFAULT("d", {USER_OBJ, 7}, {USER, 7, 1000}, {GROUP_OBJ, 7}, {MASK, 7}, {OTHER, 7}));
	OK(SET_ACCESS("f", {USER_OBJ, 6}, {USER, 4, 1000}, {GROUP_OBJ, 0}, {MASK, 4}, {OTHER, 0}));
	OK(link("f", "d/h"));
	OK(rename("f", "d/f"));
	OK(rename("g", "d/g"));
	EXPECT_ACCESS("d/f", {USER_OBJ, 6}, {USER, 4, 1000}, {GROUP_OBJ, 0}, {MASK, 4}, {OTHER, 0});
	EXPECT_ACCESS("d/h", {USER_OBJ, 6}, {USER, 4, 1000}, {GROUP_OBJ, 0}, {MASK, 4}, {OTHER, 0});
	FAILS(ENODATA, getxattr("d/g", ACCESS, NULL, 0));
	MODE(0644, mode_of("d/g"));
}

CASE(setgid, "an owner who isn't in a file's group and sets a list clears setgid")
{
	need_users();
	need_lists();
	make_file("f");
	OK(chown("f", ALICE.uid, BOB.gid));
	OK(chmod("f", 02755));
	AS(ALICE) {
		OK(SET_ACCESS("f", {USER_OBJ, 7}, {USER, 5, 1000}, {GROUP_OBJ, 5}, {MASK, 5}, {OTHER, 5}));
	}
	MODE(0755, mode_of("f"));
}

CASE(ctime, "setting a list changes ctime")
{
	need_lists();
	make_file("f");

	struct watch file = watch("f");

	OK(SET_ACCESS("f", {USER_OBJ, 7}, {USER, 5, 1000}, {GROUP_OBJ, 5}, {MASK, 5}, {OTHER, 5}));
	SAME("c", changed(&file));
}
