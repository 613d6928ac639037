/*
 * A peer: liburcu's lock-free resizable hashtable (cds_lfht), with quiescent-state based RCU, keys and values of 32 bits.
 *
 *     hashtable hits|misses|inserts|removes KEYS OPERATIONS      one thread
 *     hashtable mix THREADS WRITES_PER_CENT KEYS OPERATIONS      each thread does so many
 *
 * prints the nanoseconds that one operation takes; of a mix: from the first beginning to the last end, by all operations. What comes by
 * chance comes in the same order as in the other contenders.
 */
#define _GNU_SOURCE
#define _LGPL_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <urcu-qsbr.h>
#include <urcu/rculfhash.h>

enum { OPERATIONS_PER_REQUEST = 32, THREADS_MAX = 16 };

struct object {
	struct cds_lfht_node node;
	struct rcu_head head;
	uint32_t key, value;
};

static struct cds_lfht *table;

static uint64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint32_t key_of(uint32_t n) {
	return (n + 1) * 0x9e3779b1u;
}

static uint32_t next_random(uint32_t *state) {
	uint32_t x = *state;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	*state = x;
	return x >> 1;
}

static unsigned long hash_of(uint32_t key) {
	uint64_t h = (uint64_t)key * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
	return h ^ h >> 32;
}

static int matches(struct cds_lfht_node *node, const void *key) {
	return caa_container_of(node, struct object, node)->key == *(const uint32_t *)key;
}

static struct cds_lfht_node *find(uint32_t key) {
	struct cds_lfht_iter iter;
	cds_lfht_lookup(table, hash_of(key), matches, &key, &iter);
	return cds_lfht_iter_get_node(&iter);
}

static uint32_t get(uint32_t key) {
	struct cds_lfht_node *node = find(key);
	return node ? caa_container_of(node, struct object, node)->value : 0;
}

static int insert(uint32_t key, uint32_t value) {
	struct object *o = malloc(sizeof *o);
	if (!o)
		abort();
	cds_lfht_node_init(&o->node);
	o->key = key;
	o->value = value;
	if (cds_lfht_add_unique(table, hash_of(key), matches, &key, &o->node) == &o->node)
		return 1;
	free(o);
	return 0;
}

static void free_object(struct rcu_head *head) {
	free(caa_container_of(head, struct object, head));
}

static int remove_key(uint32_t key) {
	struct cds_lfht_node *node = find(key);
	if (!node || cds_lfht_del(table, node) != 0)
		return 0;
	call_rcu(&caa_container_of(node, struct object, node)->head, free_object);
	return 1;
}

static void pause_at(uint32_t i) {
	if (i % OPERATIONS_PER_REQUEST == 0)
		rcu_quiescent_state();
}

static _Noreturn void fail(const char *what) {
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* For lookups the table has its size from the beginning: it would grow in the background for a long time. */
static void create(uint32_t keys) {
	unsigned long buckets = 64;
	while (buckets < keys)
		buckets *= 2;
	table = cds_lfht_new(buckets, 1, 0, CDS_LFHT_AUTO_RESIZE, NULL);
}

static double alone(const char *work, uint32_t keys, uint32_t operations) {
	int changes = !strcmp(work, "inserts") || !strcmp(work, "removes");
	create(changes ? 1 : keys);
	uint64_t start = now();
	for (uint32_t i = 0; i < keys; i++) {
		insert(key_of(i), 1);
		pause_at(i);
	}
	uint64_t end = now();
	if (!strcmp(work, "inserts"))
		return (double)(end - start) / keys;
	if (!strcmp(work, "removes")) {
		start = now();
		for (uint32_t i = 0; i < keys; i++) {
			remove_key(key_of(i));
			pause_at(i);
		}
		return (double)(now() - start) / keys;
	}
	uint32_t first = !strcmp(work, "misses") ? keys : 0, state = 1, found = 0;
	uint32_t *wanted = malloc(operations * sizeof *wanted);
	for (uint32_t i = 0; i < operations; i++)
		wanted[i] = key_of(first + next_random(&state) % keys);
	start = now();
	for (uint32_t i = 0; i < operations; i++) {
		found += get(wanted[i]) == 1;
		pause_at(i);
	}
	end = now();
	if (found != (first ? 0 : operations))
		fail("wrong");
	return (double)(end - start) / operations;
}

static struct {
	uint32_t writes, keys, operations;
	pthread_barrier_t gate;
	uint64_t starts[THREADS_MAX], ends[THREADS_MAX];
} mix;

static void *member(void *arg) {
	uintptr_t n = (uintptr_t)arg;
	uint32_t state = 1000 + n, found = 0;
	rcu_register_thread();
	rcu_thread_offline();
	pthread_barrier_wait(&mix.gate);
	rcu_thread_online();
	mix.starts[n] = now();
	for (uint32_t i = 0; i < mix.operations; i++) {
		uint32_t number = next_random(&state), key = key_of(number % mix.keys);
		if (next_random(&state) % 100 >= mix.writes)
			found += get(key) != 0;
		else if (number < 1u << 30)
			insert(key, 1 + number);
		else
			remove_key(key);
		pause_at(i);
	}
	mix.ends[n] = now();
	rcu_unregister_thread();
	return found ? NULL : arg;
}

static double together(uint32_t threads) {
	pthread_t ids[THREADS_MAX];
	create(mix.keys / 2);
	for (uint32_t i = 0; i < mix.keys; i += 2) {
		insert(key_of(i), 1);
		pause_at(i);
	}
	rcu_thread_offline();
	pthread_barrier_init(&mix.gate, NULL, threads);
	for (uintptr_t i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, member, (void *)i);
	for (uint32_t i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	uint64_t first = mix.starts[0], last = mix.ends[0];
	for (uint32_t i = 1; i < threads; i++) {
		if (mix.starts[i] < first)
			first = mix.starts[i];
		if (mix.ends[i] > last)
			last = mix.ends[i];
	}
	return (double)(last - first) / ((double)threads * mix.operations);
}

int main(int argc, char **argv) {
	double ns;
	rcu_register_thread();
	if (argc == 4)
		ns = alone(argv[1], atoi(argv[2]), atoi(argv[3]));
	else if (argc == 6 && !strcmp(argv[1], "mix") && atoi(argv[2]) <= THREADS_MAX) {
		mix.writes = atoi(argv[3]);
		mix.keys = atoi(argv[4]);
		mix.operations = atoi(argv[5]);
		ns = together(atoi(argv[2]));
	} else
		fail("see hashtable.c for how it is called");
	printf("%f\n", ns);
	fflush(stdout);
	_exit(0); /* what is left is the system's to clean up */
}
