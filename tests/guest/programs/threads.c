// tests/guest/programs/threads.c - pthreads, mutexes, condition variables, thread-local data,
// futexes.
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long total, atomic_total;
static int turn, slots[8], filled, finished;
static __thread long own;

static void* count_up(void* argument) {
  long id = (long)argument;
  for (int i = 0; i < 20000; ++i) {
    pthread_mutex_lock(&lock);
    ++total;
    pthread_mutex_unlock(&lock);
    __sync_fetch_and_add(&atomic_total, 1);
    own += id;
  }
  return (void*)own;
}

static void counting(void) {
  pthread_t threads[8];
  bool ok = true;
  for (long i = 0; i < 8; ++i) ok &= pthread_create(&threads[i], NULL, count_up, (void*)i) == 0;
  for (long i = 0; i < 8; ++i) {
    void* result;
    pthread_join(threads[i], &result);
    ok &= (long)result == i * 20000;
  }
  expect(ok && total == 160000 && atomic_total == 160000, "threads.mutex", "%ld %ld", total,
         atomic_total);
}

static void* take_turns(void* argument) {
  int id = (int)(long)argument;
  for (int i = 0; i < 500; ++i) {
    pthread_mutex_lock(&lock);
    while (turn % 3 != id) pthread_cond_wait(&changed, &lock);
    ++turn;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

static void* consume(void* argument) {
  (void)argument;
  long sum_here = 0;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (filled == 0 && !finished) pthread_cond_wait(&changed, &lock);
    if (filled == 0) break;
    sum_here += slots[--filled];
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&lock);
  return (void*)sum_here;
}

static void conditions(void) {
  pthread_t threads[3];
  for (long i = 0; i < 3; ++i) pthread_create(&threads[i], NULL, take_turns, (void*)i);
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
  expect(turn == 1500, "threads.turns", "%d", turn);

  for (int i = 0; i < 3; ++i) pthread_create(&threads[i], NULL, consume, NULL);
  for (int i = 1; i <= 3000; ++i) {
    pthread_mutex_lock(&lock);
    while (filled == 8) pthread_cond_wait(&changed, &lock);
    slots[filled++] = i;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  pthread_mutex_lock(&lock);
  finished = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  long all = 0;
  for (int i = 0; i < 3; ++i) {
    void* result;
    pthread_join(threads[i], &result);
    all += (long)result;
  }
  expect(all == 3000L * 3001 / 2, "threads.queue", "%ld", all);
}

static void* nothing(void* argument) { return argument; }

static void create_many(void) {
  bool ok = true;
  for (long i = 0; i < 300; ++i) {
    pthread_t thread;
    void* result = NULL;
    ok &=
        pthread_create(&thread, NULL, nothing, (void*)i) == 0 && pthread_join(thread, &result) == 0;
    ok &= (long)result == i;
  }
  expect(ok, "threads.create_join", "a thread failed");
}

static int word;
static long futex(int* address, int operation, int value, const struct timespec* timeout) {
  return syscall(SYS_futex, address, operation, value, timeout, NULL, 0);
}

static void* wait_for_word(void* argument) {
  (void)argument;
  while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) == 0) futex(&word, FUTEX_WAIT, 0, NULL);
  return NULL;
}

static void futexes(void) {
  struct timespec soon = {0, 20000000};
  word = 0;
  long r = futex(&word, FUTEX_WAIT, 0, &soon);
  expect(r == -1 && errno == ETIMEDOUT, "threads.futex_timeout", "%ld errno %d", r, errno);
  r = futex(&word, FUTEX_WAIT, 1, NULL);
  expect(r == -1 && errno == EAGAIN, "threads.futex_again", "%ld errno %d", r, errno);
  pthread_t waiters[4];
  for (int i = 0; i < 4; ++i) pthread_create(&waiters[i], NULL, wait_for_word, NULL);
  usleep(20000);
  __atomic_store_n(&word, 1, __ATOMIC_RELEASE);
  futex(&word, FUTEX_WAKE, 100, NULL);
  for (int i = 0; i < 4; ++i) pthread_join(waiters[i], NULL);
  expect(true, "threads.futex_wake", "never");
}

static volatile sig_atomic_t signalled;
static void on_signal(int number) { signalled += number != 0; }
static void* wait_for_signal(void* argument) {
  while (signalled < (long)argument) usleep(500);
  return NULL;
}

static void thread_signals(void) {
  signal(SIGUSR1, on_signal);
  pthread_t thread;
  signalled = 0;
  pthread_create(&thread, NULL, wait_for_signal, (void*)1L);
  usleep(2000);
  pthread_kill(thread, SIGUSR1);
  pthread_join(thread, NULL);
  expect(signalled == 1, "threads.pthread_kill", "%d", (int)signalled);
}

void program_threads(void) {
  counting();
  conditions();
  create_many();
  futexes();
  thread_signals();
}
