/*
 * Peers: the locks of pthread and semaphores of POSIX.
 *
 *     locks alone mutex|reader|writer|semaphore MILLISECONDS      nanoseconds to lock and unlock, by one thread
 *     locks contended mutex|reader|writer|semaphore MILLISECONDS  nanoseconds for each of all that two threads do
 *     locks handover condition|semaphore ROUNDS                   nanoseconds until the other thread has its turn
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 1000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t turns[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static sem_t semaphore, turn_semaphores[2];
static pthread_barrier_t gate;
static void (*lock)(void), (*unlock)(void);
static volatile uint64_t counter;
static int turn;
static long rounds;
static int by_semaphore;

static uint64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void mutex_lock(void) { pthread_mutex_lock(&mutex); }
static void mutex_unlock(void) { pthread_mutex_unlock(&mutex); }
static void reader_lock(void) { pthread_rwlock_rdlock(&rwlock); }
static void writer_lock(void) { pthread_rwlock_wrlock(&rwlock); }
static void rwlock_unlock(void) { pthread_rwlock_unlock(&rwlock); }
static void semaphore_lock(void) { sem_wait(&semaphore); }
static void semaphore_unlock(void) { sem_post(&semaphore); }

static void choose(const char *kind) {
	if (!strcmp(kind, "mutex"))
		lock = mutex_lock, unlock = mutex_unlock;
	else if (!strcmp(kind, "semaphore"))
		lock = semaphore_lock, unlock = semaphore_unlock;
	else
		lock = !strcmp(kind, "reader") ? reader_lock : writer_lock, unlock = rwlock_unlock;
}

/* For so many milliseconds; returns how often. */
static uint64_t hammer_for(long milliseconds, uint64_t start) {
	uint64_t done = 0;
	do {
		for (int i = 0; i < BATCH; i++) {
			lock();
			counter++;
			unlock();
		}
		done += BATCH;
	} while (now() < start + milliseconds * 1000000ull);
	return done;
}

static uint64_t hammered[2];

static void *hammer(void *arg) {
	pthread_barrier_wait(&gate);
	hammered[(intptr_t)arg] = hammer_for(rounds, now());
	return arg;
}

static void *play(void *arg) {
	int me = (int)(intptr_t)arg;
	pthread_barrier_wait(&gate);
	for (long i = 0; i < rounds; i++) {
		if (by_semaphore) {
			sem_wait(&turn_semaphores[me]);
			sem_post(&turn_semaphores[1 - me]);
			continue;
		}
		pthread_mutex_lock(&mutex);
		while (turn != me)
			pthread_cond_wait(&turns[me], &mutex);
		turn = 1 - me;
		pthread_cond_signal(&turns[1 - me]);
		pthread_mutex_unlock(&mutex);
	}
	return arg;
}

/* Nanoseconds from when two threads are there until both are done. */
static double both(void *(*work)(void *)) {
	pthread_t ids[2];
	pthread_barrier_init(&gate, NULL, 3);
	for (intptr_t i = 0; i < 2; i++)
		pthread_create(&ids[i], NULL, work, (void *)i);
	pthread_barrier_wait(&gate);
	uint64_t start = now();
	for (int i = 0; i < 2; i++)
		pthread_join(ids[i], NULL);
	return now() - start;
}

static void *nothing(void *arg) {
	return arg;
}

/* After a second thread: before there was one, the library may leave out what only threads need. */
static double alone(long milliseconds) {
	pthread_t id;
	pthread_create(&id, NULL, nothing, NULL);
	pthread_join(id, NULL);
	uint64_t start = now(), done = hammer_for(milliseconds, start);
	return (double)(now() - start) / done;
}

int main(int argc, char **argv) {
	if (argc != 4) {
		fprintf(stderr, "see locks.c for how it is called\n");
		return 1;
	}
	sem_init(&semaphore, 0, 1);
	sem_init(&turn_semaphores[0], 0, 1);
	sem_init(&turn_semaphores[1], 0, 0);
	choose(argv[2]);
	rounds = atol(argv[3]);
	by_semaphore = !strcmp(argv[2], "semaphore");
	double ns;
	if (!strcmp(argv[1], "alone"))
		ns = alone(rounds);
	else if (!strcmp(argv[1], "contended")) {
		ns = both(hammer);
		ns /= hammered[0] + hammered[1];
	} else
		ns = both(play) / (2.0 * rounds);
	printf("%f\n", ns);
	return 0;
}
