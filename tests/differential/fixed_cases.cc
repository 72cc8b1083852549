// tests/differential/fixed_cases.cc - the list, in the form of --one.
#include "tests/differential/fixed_cases.h"

namespace ringshift::differential {

std::span<const char* const> fixed_cases() {
  static constexpr const char* kCases[] = {
      // An access that wraps past the last address, or out of page 0, hit an empty TLB entry.
      "64:17dec2a83e74:6648c9",
      "64:dbfc1361d3cb:c4e1fd744004",
      "64:1:488b0425fa0f0000",
      "pae:1:a1fd0f0000",
      // A store by way of the bounce buffer that faults for its alignment.
      "64:8410e6acdcb3:9090909090,9090909090909090909090,90909090,90909090909090909090,"
      "909090909090909090,6566440f2b35040200f0",
      // REX.R does not extend a segment register.
      "64:e4b78af45126:3e664c8cdf",
      // A gather and a scatter whose first element faults.
      "64:3aca5b669a16:c4e225930465f8180020",
      // The permission of a port comes before the count.
      "64:1:4831c9,f36c",
      // VEX.W does not widen general registers in 32-bit code, and IS4 names eight registers.
      "32:1:c4e3f9606af06c",
      "32:1:c4e3554ac1b3",
      // The most negative bit offset.
      "64:1dd68ac10117:67490fbb913c00cc0d",
      // VPINSRD with W outside 64-bit code.
      "32:f0623f3d3e98:c4e3e122d639",
      // CLFLUSH of a line's last byte.
      "32:1:0fae3dff3f0020",
      // Masks: a store and loads that suppress no faults, one element of the mask for many in
      // memory.
      "64:ebe7c6e3dac0:62f37d491964b8f018,9090909090909090909090",
      "64:67341ba2cece:62c34da942bd1f0a000054",
      "64:5dd6ee43c157:62537d2b1995c6a39cbb8d,909090909090,909090909090",
      "64:8ff76f2767d4:6243fdc3cfa6d5f5ffffd4",
      // BSR of zero keeps its destination, also one that stands in for R10 (run with --windows).
      "64:cca0f81508cb:9090909090909090,9090909090909090,9090909090,3e440fbd94e217dfffff,"
      "90909090909090909090,90909090909090909090,9090,909090909090909090",
      // A compress without a mask checks the alignment of its elements.
      "pae:747909bff52b:90909090909090,62f2fd2863a8a60b0020,9090909090",
      // Two exceptions of one instruction: not aligned comes before absent.
      "64:1:0f28042501500020",
      "64:1:0f29042501300020",
      "64:1:c5fde7042508500020",
      "64:1:62f1fd486f042520500020",
      "64:1:480fc70c2508500020",
      "64:1:f0480fc70c25f83f0020",
      "32:1:0f58050f500020",
      "64:1:660f2d0425c3ffff1f",
      // Alignment checks are on in these: not aligned, and not moved alone; not canonical; a bit
      // string; a move, whose source comes first.
      "64:e303d44de8d8:660f5b05780d0010,9090909090909090909090,90909090,9090909090,"
      "9090909090909090909090,909090",
      "64:b2fc0e2ab12e:9090909090,6251fd1cebb00dc0debc",
      "64:21a3b71f6cff:909090909090,480fbba7e3f8ffff",
      "64:80f58016923b:f3a5",
      "pae:2b3b5967f2d9:90909090909090909090,9090909090,66a5",
      "64:eba13635c681:909090909090909090,62727d48638c1d1f1700e0",
      // A pending x87 exception comes before both (FNINIT, FLDCW to unmask all, FLDZ, FLDZ,
      // FDIVP, FLD m64).
      "64:1:dbe3,6a00,d92c24,d9ee,d9ee,def9,dd042500500020",
      "pae:71c57de1aea5:66db4f16",
      // A return to the last address, where no return is expected (run with --hot).
      "64:78316f0a8717:f248c2ef6f,6649dfea,f30f7e1de21e0010",
      // Not aligned comes before a limit, too.
      "pae:a5876554f2cf:c4e17d2b4dd5,909090,9090,9090909090909090,9090,9090909090909090909090,"
      "909090909090,909090",
  };
  return kCases;
}

}  // namespace ringshift::differential
