// tests/guest/programs/timers.c - clocks never step back, sleeps last as long as asked, timers keep
// ticking.
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static int64_t now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void monotonic(void) {
  static const struct {
    clockid_t clock;
    const char* name;
  } kClocks[] = {{CLOCK_MONOTONIC, "timers.monotonic"},
                 {CLOCK_REALTIME, "timers.realtime"},
                 {CLOCK_MONOTONIC_RAW, "timers.monotonic_raw"},
                 {CLOCK_PROCESS_CPUTIME_ID, "timers.process_time"}};
  for (int c = 0; c < 4; ++c) {
    int64_t last = now(kClocks[c].clock), worst = 0;
    for (int i = 0; i < 30000; ++i) {
      int64_t t = now(kClocks[c].clock);
      if (t - last < worst) worst = t - last;
      last = t;
    }
    expect(worst == 0, kClocks[c].name, "stepped back %lld ns", (long long)-worst);
  }
}

static uint64_t rdtsc(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}

static void time_stamp_counter(void) {
  uint64_t last = rdtsc();
  bool ok = true;
  for (int i = 0; i < 30000; ++i) {
    uint64_t t = rdtsc();
    ok &= t >= last;
    last = t;
  }
  expect(ok, "timers.rdtsc", "stepped back");
  // The same rate over two intervals, to 2 percent.
  double rate[2];
  for (int i = 0; i < 2; ++i) {
    int64_t t = now(CLOCK_MONOTONIC);
    uint64_t c = rdtsc();
    usleep(150000);
    rate[i] = (double)(rdtsc() - c) / (now(CLOCK_MONOTONIC) - t);
  }
  double ratio = rate[0] / rate[1];
  expect(ratio > 0.98 && ratio < 1.02, "timers.tsc_rate", "%f and %f GHz", rate[0], rate[1]);
}

static void sleeps(void) {
  static const int kMicroseconds[] = {100, 1000, 20000, 300000};
  bool early = false;
  int64_t late = 0;
  for (int i = 0; i < 4; ++i) {
    int64_t start = now(CLOCK_MONOTONIC);
    struct timespec t = {0, kMicroseconds[i] * 1000l};
    nanosleep(&t, NULL);
    int64_t excess = now(CLOCK_MONOTONIC) - start - kMicroseconds[i] * 1000ll;
    early |= excess < 0;
    if (excess > late) late = excess;
  }
  expect(!early, "timers.sleep_not_early", "woke early");
  // A loaded host makes any virtual machine late; a second means lost timer interrupts.
  expect(late < 1000000000ll, "timers.sleep_not_late", "%lld us late", (long long)late / 1000);
}

static volatile sig_atomic_t ticks;
static void on_tick(int number) { ticks += number != 0; }

static void interval_timer(void) {
  signal(SIGALRM, on_tick);
  struct itimerval every = {{0, 10000}, {0, 10000}}, off = {{0, 0}, {0, 0}};
  int64_t start = now(CLOCK_MONOTONIC);
  setitimer(ITIMER_REAL, &every, NULL);
  while (ticks < 20 && now(CLOCK_MONOTONIC) - start < 20000000000ll) pause();
  int64_t took = now(CLOCK_MONOTONIC) - start;
  setitimer(ITIMER_REAL, &off, NULL);
  expect(ticks >= 20 && took >= 190000000, "timers.setitimer", "%d ticks in %lld us", (int)ticks,
         (long long)took / 1000);

  ticks = 0;
  signal(SIGVTALRM, on_tick);
  setitimer(ITIMER_VIRTUAL, &every, NULL);  // only ticks that interrupt user code count
  start = now(CLOCK_MONOTONIC);
  while (ticks < 5 && now(CLOCK_MONOTONIC) - start < 20000000000ll) {
  }
  setitimer(ITIMER_VIRTUAL, &off, NULL);
  expect(ticks >= 5, "timers.virtual_timer", "%d ticks", (int)ticks);
}

static void timer_descriptor(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec every = {{0, 5000000}, {0, 5000000}};
  timerfd_settime(fd, 0, &every, NULL);
  uint64_t expirations = 0, n = 0;
  while (expirations < 20) {
    struct pollfd p = {fd, POLLIN, 0};
    if (poll(&p, 1, 5000) != 1 || read(fd, &n, 8) != 8) break;
    expirations += n;
  }
  close(fd);
  expect(expirations >= 20, "timers.timerfd", "%llu", (unsigned long long)expirations);
}

// A tight loop that makes no system call must still be interrupted.
static void interrupts_a_loop(void) {
  ticks = 0;
  signal(SIGALRM, on_tick);
  struct itimerval once = {{0, 0}, {0, 30000}};
  setitimer(ITIMER_REAL, &once, NULL);
  unsigned long spins = 0;
  while (ticks == 0) ++spins;
  expect(spins > 0, "timers.interrupts_a_loop", "never ran");
}

void program_timers(void) {
  monotonic();
  time_stamp_counter();
  sleeps();
  interval_timer();
  timer_descriptor();
  interrupts_a_loop();
}
