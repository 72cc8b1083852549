// bench/programs/data.c - workloads of loads and stores: arrays, pointers, strings, compression.
#include "workload.h"

uint64_t work_sieve(void) {
  enum { kLimit = 4000000 };
  static unsigned char composite[kLimit];
  uint64_t primes = 0;
  for (int round = 0; round < 12; ++round) {
    memset(composite, 0, sizeof composite);
    primes = 0;
    for (int i = 2; i < kLimit; ++i) {
      if (composite[i]) continue;
      ++primes;
      for (long long j = (long long)i * i; j < kLimit; j += i) composite[j] = 1;
    }
  }
  return primes;
}

typedef struct Node {
  struct Node* child[2];
  uint32_t key, value;
} Node;

uint64_t work_tree(void) {
  enum { kNodes = 60000 };
  static Node nodes[kNodes];
  uint64_t sum = 0;
  for (int round = 0; round < 8; ++round) {
    Node* root = NULL;
    uint32_t state = 17 + round;
    for (int i = 0; i < kNodes; ++i) {
      nodes[i] = (Node){{NULL, NULL}, next_random(&state), i};
      Node** at = &root;
      while (*at) at = &(*at)->child[nodes[i].key > (*at)->key];
      *at = &nodes[i];
    }
    state = 17 + round;
    for (int i = 0; i < 2 * kNodes; ++i) {
      uint32_t key = next_random(&state);
      const Node* n = root;
      while (n && n->key != key) n = n->child[key > n->key];
      sum += n ? n->value : 1;
    }
  }
  return sum;
}

uint64_t work_copy(void) {
  enum { kBytes = 1 << 20 };
  static unsigned char a[kBytes], b[kBytes];
  uint32_t state = 1;
  for (int i = 0; i < kBytes; ++i) a[i] = next_random(&state);
  static const size_t kSizes[] = {16, 64, 200, 1024, 4096, 65536, kBytes / 2};
  for (int s = 0; s < 7; ++s) {
    size_t size = kSizes[s], rounds = (s < 3 ? 80000000 : 250000000) / (size < 64 ? 64 : size);
    unsigned char *from = a, *to = b;
    OPAQUE(size);
    for (size_t i = 0; i < rounds; ++i) {
      memcpy(to + i % 64, from + i % 48, size);
      OPAQUE(to);
    }
  }
  uint64_t sum = 0;
  for (int i = 0; i < kBytes; i += 61) sum = sum * 31 + b[i];
  return sum;
}

// A random cycle through all cells, one cache line apart, so that each load waits for the last.
static uint64_t chase(size_t bytes, int steps) {
  typedef struct Cell {
    struct Cell* next;
    char pad[64 - sizeof(void*)];
  } Cell;
  size_t count = bytes / sizeof(Cell);
  Cell* cells = aligned_alloc(64, bytes);
  uint32_t* order = malloc(count * sizeof *order);
  uint32_t state = 11;
  for (size_t i = 0; i < count; ++i) order[i] = i;
  for (size_t i = count - 1; i > 0; --i) {
    size_t j = next_random(&state) % (i + 1);
    uint32_t t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  for (size_t i = 0; i < count; ++i) cells[order[i]].next = &cells[order[(i + 1) % count]];
  const Cell* at = cells;
  for (int i = 0; i < steps; ++i) at = at->next;
  uint64_t result = at - cells;
  free(order);
  free(cells);
  return result;
}

uint64_t work_chase_l1(void) { return chase(16 << 10, 120000001); }
uint64_t work_chase_l2(void) { return chase(512 << 10, 40000001); }

static size_t own_length(const char* s) {
  const char* p = s;
  while (*p) ++p;
  return p - s;
}

uint64_t work_strings(void) {
  static char text[20000];
  uint32_t state = 9;
  for (size_t i = 0; i < sizeof text - 1; ++i)
    text[i] = next_random(&state) % 37 == 0 ? ' ' : 'a' + next_random(&state) % 26;
  uint64_t sum = 0;
  char* p = text;
  for (int round = 0; round < 15000; ++round) {
    OPAQUE(p);
    sum += own_length(p) + strlen(p + round % 64);
    int words = 0;
    for (char* w = p; (w = strchr(w, ' ')); ++w) {
      ++words;
      sum += strcmp(w, p + round) > 0;
    }
    sum = sum * 3 + words;
  }
  return sum;
}

static int compare(const void* a, const void* b) {
  uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
  return x < y ? -1 : x > y;
}

static void quicksort(uint32_t* v, long n, int (*less)(const void*, const void*)) {
  while (n > 1) {
    uint32_t pivot = v[n / 2];
    long i = 0, j = n - 1;
    while (i <= j) {
      while (less(&v[i], &pivot) < 0) ++i;
      while (less(&v[j], &pivot) > 0) --j;
      if (i > j) break;
      uint32_t t = v[i];
      v[i++] = v[j];
      v[j--] = t;
    }
    quicksort(v, j + 1, less);
    v += i;
    n -= i;
  }
}

uint64_t work_sort(void) {
  enum { kCount = 400000 };
  static uint32_t v[kCount];
  int (*volatile less)(const void*, const void*) = compare;
  uint64_t sum = 0;
  for (uint32_t round = 1; round <= 6; ++round) {
    uint32_t state = round;
    for (int i = 0; i < kCount; ++i) v[i] = next_random(&state);
    quicksort(v, kCount, less);
    for (int i = 0; i < kCount; i += 1000) sum = sum * 31 + v[i];
  }
  return sum;
}

// Greedy LZ: a hash of three bytes finds the last place they stood; output is literals and pairs.
static size_t lz_compress(const unsigned char* in, size_t size, unsigned char* out) {
  static uint32_t last[1 << 14];
  memset(last, 0, sizeof last);
  size_t o = 0, i = 0;
  while (i + 4 < size) {
    uint32_t h = (in[i] << 16 | in[i + 1] << 8 | in[i + 2]) * 2654435761u >> 18;
    size_t candidate = last[h];
    last[h] = i + 1;
    size_t length = 0;
    if (candidate && i + 1 - candidate < 65536) {
      const unsigned char* m = in + candidate - 1;
      while (length < 255 && i + length < size && m[length] == in[i + length]) ++length;
    }
    if (length >= 4) {
      size_t distance = i + 1 - candidate;
      out[o++] = 0xff;
      out[o++] = length;
      out[o++] = distance;
      out[o++] = distance >> 8;
      i += length;
    } else {
      out[o++] = in[i++];
    }
  }
  while (i < size) out[o++] = in[i++];
  return o;
}

uint64_t work_compress(void) {
  enum { kBytes = 1 << 20 };
  static unsigned char in[kBytes], out[kBytes * 4];
  static const char* const kWords[] = {"the ",      "guest ", "translates ", "a ",
                                       "block ",    "page ",  "table ",      "fault ",
                                       "register ", "\n",     "interrupt ",  "of "};
  uint32_t state = 21;
  for (size_t i = 0; i < kBytes;) {
    const char* w = kWords[next_random(&state) % 12];
    for (; *w && i < kBytes; ++w) in[i++] = *w;
    if (i < kBytes && next_random(&state) % 4 == 0) in[i++] = '0' + next_random(&state) % 10;
  }
  uint64_t sum = 0;
  for (int round = 0; round < 45; ++round) {
    in[round * 1000] ^= 1;
    size_t size = lz_compress(in, kBytes, out);
    for (size_t i = 0; i < size; i += 97) sum = sum * 31 + out[i];
    sum += size;
  }
  return sum;
}
