// tests/unit/softmmu/permission_matrix_test.cc - every combination of page-table and control bits,
// the walker against the model of permission_model.h: fault, error code, address, A and D.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/softmmu/paging_guest.h"
#include "tests/unit/softmmu/permission_model.h"

namespace ringshift::softmmu {
namespace {

using model::Answer;
using model::Paging;
using model::Question;

// Where the entry of each level lies, fixed for all questions.
constexpr std::uint64_t kTable[5] = {0, 0x4000, 0x3000, 0x2000, 0x1000};
constexpr std::uint64_t kReservedHigh = std::uint64_t{1} << 45;  // above 40 physical bits
constexpr std::uint64_t kReservedLow = 1u << 14;                 // below a large page's frame

constexpr Access kAccesses[] = {
    {AccessKind::kRead, true, false},    {AccessKind::kWrite, true, false},
    {AccessKind::kExecute, true, false}, {AccessKind::kRead, false, false},
    {AccessKind::kWrite, false, false},  {AccessKind::kExecute, false, false},
    {AccessKind::kRead, false, true},    {AccessKind::kWrite, false, true},
};

class PermissionMatrix : public ::testing::Test {
 protected:
  void ask(const Question& q) {
    prepare(q);
    const Answer expected = model::ask(q);
    const auto result = walk(*guest_.memory, guest_.state, guest_.features, {q.linear}, q.access);
    ++asked_;
    faults_ += expected.fault;
    bool right = result.has_value() != expected.fault;
    if (right && expected.fault)
      right = result.error() == guest::page_fault(q.linear, expected.error_code);
    else if (right)
      right = result->address.value == expected.physical &&
              result->page_bytes == expected.page_bytes && result->writable == expected.writable &&
              result->global == expected.global;
    for (unsigned level = 1; level <= levels(q); ++level)
      right = right && load(q, level) == expected.entry_after[level];
    if (right) return;
    if (++wrong_ > 5) return;
    ADD_FAILURE() << describe(q) << "\n  model: " << describe(expected) << "\n  walk: "
                  << (result ? "address " + std::to_string(result->address.value)
                             : "error code " + std::to_string(result.error().error_code));
  }

  static unsigned levels(const Question& q) { return q.paging == Paging::k4Level ? 4 : 2; }

  std::uint8_t* slot(const Question& q, unsigned level) {
    const unsigned index = q.paging == Paging::k32Bit
                               ? ((q.linear >> (2 + 10 * level)) & 1023) * 4
                               : static_cast<unsigned>((q.linear >> (3 + 9 * level)) & 511) * 8;
    return guest_.memory->ram_page({kTable[level]}) + index;
  }
  std::uint64_t load(const Question& q, unsigned level) {
    std::uint64_t value = 0;
    std::memcpy(&value, slot(q, level), q.paging == Paging::k32Bit ? 4 : 8);
    return value;
  }

  void prepare(const Question& q) {
    guest::CpuState& s = guest_.state;
    s.cr0 = guest::cr0::kPe | guest::cr0::kPg | (q.wp ? guest::cr0::kWp : 0);
    s.cr4 = (q.pse ? guest::cr4::kPse : 0) | (q.smep ? guest::cr4::kSmep : 0) |
            (q.smap ? guest::cr4::kSmap : 0) | (q.pge ? guest::cr4::kPge : 0) |
            (q.pke ? guest::cr4::kPke : 0) | (q.pks ? guest::cr4::kPks : 0) |
            (q.paging != Paging::k32Bit ? guest::cr4::kPae : 0);
    s.pkru = q.pkru;
    s.msr.pkrs = q.pkrs;
    s.msr.efer = (q.nxe ? guest::efer::kNxe : 0) |
                 (q.paging == Paging::k4Level ? guest::efer::kLma | guest::efer::kLme : 0);
    s.rflags = guest::flags::kFixed1 | (q.ac ? guest::flags::kAc : 0);
    s.cr3 = kTable[levels(q)];
    s.pdpte = {};
    s.pdpte[(q.linear >> 30) & 3] = kTable[2] | q.pdpte_register_present;
    guest_.features = {q.physical_bits, q.gigabyte_pages, q.pse36};
    for (unsigned level = 1; level <= levels(q); ++level)
      std::memcpy(slot(q, level), &q.entry[level], q.paging == Paging::k32Bit ? 4 : 8);
  }

  static std::string describe(const Question& q) {
    char text[256];
    std::snprintf(text, sizeof text,
                  "paging %d entries %lx %lx %lx %lx wp%d pse%d smep%d smap%d nxe%d ac%d kind %d "
                  "user%d implicit%d pke%d %x pks%d %x",
                  static_cast<int>(q.paging), q.entry[4], q.entry[3], q.entry[2], q.entry[1], q.wp,
                  q.pse, q.smep, q.smap, q.nxe, q.ac, static_cast<int>(q.access.kind),
                  q.access.user, q.access.implicit, q.pke, q.pkru, q.pks, q.pkrs);
    return text;
  }
  static std::string describe(const Answer& a) {
    return a.fault ? "error code " + std::to_string(a.error_code)
                   : "address " + std::to_string(a.physical);
  }

  // The entry of `level` with the chosen bits: P RW US A D PS G XD high-reserved low-reserved.
  static std::uint64_t make_entry(unsigned level, unsigned chosen) {
    std::uint64_t e = 0;
    const std::uint64_t bits[] = {kP, kRw, kUs, kA, kD, kPs, kXd, kReservedHigh, kG};
    for (unsigned i = 0; i < std::size(bits); ++i)
      if ((chosen >> i) & 1) e |= bits[i];
    if ((chosen >> 9) & 1 && (e & kPs)) e |= kReservedLow;
    const bool large = level > 1 && (e & kPs);
    return e | (large ? 0xc0000000 : level == 1 ? 0x12345000 : kTable[level - 1]);
  }
  // All values of the bits in `mask`, the others clear.
  template <typename F>
  static void for_each_subset(unsigned mask, F action) {
    unsigned subset = 0;
    do {
      action(subset);
      subset = (subset - mask) & mask;
    } while (subset != 0);
  }
  // Without CR4.PSE bit 7 of a PDE is ignored: its address must be that of the table.
  static bool leads_nowhere(const Question& q) {
    return q.paging == Paging::k32Bit && !q.pse && q.entry[2] >> 12 != kTable[1] >> 12;
  }
  // Every control-bit combination and access for the entries in `q`.
  void ask_all_modes(Question q) {
    for (unsigned controls = 0; controls < 32; ++controls) {
      q.wp = controls & 1;
      q.smep = controls & 2;
      q.smap = controls & 4;
      q.ac = controls & 8;
      (q.paging == Paging::k32Bit ? q.pse : q.nxe) = controls & 16;
      if (leads_nowhere(q)) continue;
      for (const Access& access : kAccesses) {
        q.access = access;
        ask(q);
      }
    }
  }
  // The matrix must hold both outcomes in numbers, or it proves little.
  void TearDown() override {
    EXPECT_EQ(wrong_, 0u) << "of " << asked_;
    EXPECT_GT(faults_, asked_ / 100);
    EXPECT_GT(asked_ - faults_, asked_ / 500);
  }

  PagingGuest guest_{1 << 20};
  std::uint64_t asked_ = 0, faults_ = 0, wrong_ = 0;
};

enum : unsigned {
  bP = 1,
  bRw = 2,
  bUs = 4,
  bA = 8,
  bD = 16,
  bPs = 32,
  bXd = 64,
  bRsvd = 128,
  bG = 256,
  bLow = 512
};

TEST_F(PermissionMatrix, ThirtyTwoBitPaging) {
  Question q;
  q.paging = Paging::k32Bit;
  q.linear = 0x12345678;
  for_each_subset(bP | bRw | bUs | bA | bD | bPs | bG, [&](unsigned pde) {
    for (std::uint64_t frame : {0u, 0xc0000000u, 1u << 13, 1u << 20, 1u << 21}) {
      if (frame && !(pde & bPs)) continue;
      q.entry[2] = (make_entry(2, pde) & 0xfff) | kTable[1] | frame;
      for_each_subset(bP | bRw | bUs | bA | bD, [&](unsigned pte) {
        q.entry[1] = make_entry(1, pte);
        ask_all_modes(q);
      });
    }
  });
}

TEST_F(PermissionMatrix, PaePaging) {
  Question q;
  q.paging = Paging::kPae;
  q.linear = 0x92345678;
  for_each_subset(bP | bRw | bUs | bA | bPs | bXd | bRsvd, [&](unsigned pde) {
    q.entry[2] = make_entry(2, pde);
    for_each_subset(bP | bRw | bUs | bD | bXd | bRsvd, [&](unsigned pte) {
      q.entry[1] = make_entry(1, pte);
      ask_all_modes(q);
    });
  });
  for_each_subset(bP | bPs | bD | bG | bLow, [&](unsigned pde) {
    q.entry[2] = make_entry(2, pde | bRw | bUs);
    q.entry[1] = make_entry(1, bP | bRw | bUs | bG);
    for (bool present : {false, true})
      for (bool pge : {false, true}) {
        q.pdpte_register_present = present;
        q.pge = pge;
        ask_all_modes(q);
      }
  });
}

TEST_F(PermissionMatrix, FourLevelLowerTables) {
  Question q;
  q.linear = 0x7f1234567abc;
  q.entry[4] = make_entry(4, bP | bRw | bUs | bA);
  q.entry[3] = make_entry(3, bP | bRw | bUs | bA);
  for_each_subset(bP | bRw | bUs | bA | bPs | bXd | bRsvd, [&](unsigned pde) {
    q.entry[2] = make_entry(2, pde);
    for_each_subset(bP | bRw | bUs | bD | bXd | bRsvd, [&](unsigned pte) {
      q.entry[1] = make_entry(1, pte);
      ask_all_modes(q);
    });
  });
}

TEST_F(PermissionMatrix, FourLevelUpperTables) {
  Question q;
  q.linear = 0xffff9a1234567abc;
  for_each_subset(bP | bRw | bUs | bPs | bXd | bRsvd, [&](unsigned pml4e) {
    q.entry[4] = make_entry(4, pml4e);
    for_each_subset(bP | bRw | bUs | bPs | bXd | bRsvd | bLow, [&](unsigned pdpte) {
      if ((pdpte & bLow) && !(pdpte & bPs)) return;
      q.entry[3] = make_entry(3, pdpte);
      for (bool gigabyte_pages : {false, true}) {
        q.gigabyte_pages = gigabyte_pages;
        q.entry[2] = make_entry(2, bP | bRw | bUs);
        q.entry[1] = make_entry(1, bP | bRw | bUs);
        ask_all_modes(q);
      }
    });
  });
}

// What no exhaustive pass can hold: everything at once.
TEST_F(PermissionMatrix, RandomQuestionsOverAllBits) {
  std::mt19937_64 random(20240611);
  for (unsigned i = 0; i < 2'000'000; ++i) {
    const std::uint64_t r = random();
    Question q;
    q.paging = static_cast<Paging>(r % 3);
    q.linear = q.paging == Paging::k4Level
                   ? static_cast<std::uint64_t>(static_cast<std::int64_t>(random() << 16) >> 16)
                   : random() & 0xffffffff;
    for (unsigned level = 1; level <= levels(q); ++level) {
      // Mostly present and clean, so that walks get deep.
      unsigned chosen = static_cast<unsigned>(random()) & 0x3ff;
      if (random() % 16) chosen |= bP;
      if (random() % 8) chosen &= ~bRsvd;
      if (random() % 4) chosen &= ~bXd;
      if (random() % 4) chosen &= ~(level > 1 ? bPs : 0u);
      if (random() % 4) chosen |= bUs;
      q.entry[level] = make_entry(level, chosen);
      if (q.paging == Paging::k32Bit) q.entry[level] &= 0xffffffff;
    }
    q.wp = r & 0x100;
    q.pse = r & 0x200;
    q.smep = r & 0x400;
    q.smap = r & 0x800;
    q.pge = r & 0x1000;
    q.nxe = r & 0x2000;
    q.ac = r & 0x4000;
    q.pdpte_register_present = (r >> 20) & 15;
    q.gigabyte_pages = r & 0x8000;
    q.pse36 = r & 0x10000;
    q.physical_bits = r & 0x20000 ? 40 : 36;
    q.access = kAccesses[(r >> 32) % std::size(kAccesses)];
    q.pke = r & 0x40000;
    q.pks = r & 0x80000;
    q.pkru = static_cast<std::uint32_t>(random() & random());
    q.pkrs = static_cast<std::uint32_t>(random() & random());
    if (q.paging == Paging::k4Level)
      for (unsigned level = 1; level <= 4; ++level) q.entry[level] |= (random() & 15) << 59;
    if (!leads_nowhere(q)) ask(q);
  }
}

}  // namespace
}  // namespace ringshift::softmmu
