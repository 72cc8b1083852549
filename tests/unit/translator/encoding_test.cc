// tests/unit/translator/encoding_test.cc - guest encodings written again for the host: goldens for
// each class of encoding, and every register in every field.
#include "translator/encoding.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ringshift::translator {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr ModeKey k64(2 | 2 << 2), k32(1 | 1 << 2), k16(0);

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string s;
  for (std::uint8_t b : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    s += kDigits[b >> 4];
    s += kDigits[b & 15];
    s += ' ';
  }
  if (!s.empty()) s.pop_back();
  return s;
}

class Encoding : public ::testing::Test {
 protected:
  Insn decode(ModeKey mode, const Bytes& bytes) {
    Insn insn;
    EXPECT_EQ(decoder_.decode(mode, bytes, 0, insn), std::nullopt) << hex(bytes);
    EXPECT_EQ(insn.length(), bytes.size()) << hex(bytes);
    return insn;
  }
  std::string encode(ModeKey mode, const Bytes& bytes, const Rewrite& rewrite) {
    return hex(encode_for_host(decode(mode, bytes), mode, rewrite).view());
  }
  Decoder decoder_{true, true};
};

constexpr Rewrite kNone{};
constexpr Rewrite at_r11() {
  Rewrite w;
  w.base = 11;
  return w;
}
constexpr Rewrite at_slot(unsigned guest) {
  Rewrite w;
  w.base = 4;
  w.displacement = static_cast<std::int8_t>(guest * 8);
  return w;
}
constexpr Rewrite registers(std::uint8_t reg, std::uint8_t rm, std::uint8_t vvvv = kNoRegister) {
  Rewrite w;
  w.reg = reg;
  w.rm = rm;
  w.vvvv = vvvv;
  return w;
}

struct Golden {
  const char* what;
  ModeKey mode;
  Bytes guest;
  Rewrite rewrite;
  const char* host;
};

TEST_F(Encoding, Goldens) {
  const Golden goldens[] = {
      // Registers only: as they are.
      {"add ecx,eax", k64, {0x01, 0xc1}, kNone, "01 c1"},
      {"add rcx,rax", k64, {0x48, 0x01, 0xc1}, kNone, "48 01 c1"},
      {"add cx,ax", k64, {0x66, 0x01, 0xc1}, kNone, "66 01 c1"},
      {"add ah,bl", k64, {0x00, 0xdc}, kNone, "00 dc"},
      {"add spl,bl", k64, {0x40, 0x00, 0xdc}, registers(3, 15), "41 00 df"},
      {"add sil,bl", k64, {0x40, 0x00, 0xde}, kNone, "40 00 de"},
      {"mov edx,imm", k64, {0xba, 1, 2, 3, 4}, kNone, "ba 01 02 03 04"},
      {"mov r10,imm64",
       k64,
       {0x49, 0xba, 1, 2, 3, 4, 5, 6, 7, 8},
       registers(kNoRegister, 10),
       "49 ba 01 02 03 04 05 06 07 08"},
      {"bswap rsp", k64, {0x48, 0x0f, 0xcc}, registers(kNoRegister, 15), "49 0f cf"},
      {"xchg rax,r15", k64, {0x49, 0x97}, registers(kNoRegister, 10), "49 92"},
      {"popcnt eax,ecx", k64, {0xf3, 0x0f, 0xb8, 0xc1}, kNone, "f3 0f b8 c1"},
      {"crc32 eax,cx", k64, {0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xc1}, kNone, "66 f2 0f 38 f1 c1"},
      // Memory operands: one host register, whatever they were.
      {"add [rbx+rcx*4+8],eax", k64, {0x01, 0x44, 0x8b, 0x08}, at_r11(), "41 01 03"},
      {"mov rax,[rip+d]", k64, {0x48, 0x8b, 0x05, 1, 0, 0, 0}, at_r11(), "49 8b 03"},
      {"mov [rip+d],imm8", k64, {0xc6, 0x05, 1, 0, 0, 0, 0x7f}, at_r11(), "41 c6 03 7f"},
      {"mov [moffs-like disp32]", k64, {0x89, 0x04, 0x25, 1, 0, 0, 0}, at_r11(), "41 89 03"},
      {"add fs:[rax],ecx", k64, {0x64, 0x01, 0x08}, at_r11(), "41 01 0b"},
      {"add [eax],ecx", k64, {0x67, 0x01, 0x08}, at_r11(), "41 01 0b"},
      {"lock inc dword [rax]", k64, {0xf0, 0xff, 0x00}, at_r11(), "f0 41 ff 03"},
      {"lock cmpxchg16b", k64, {0xf0, 0x48, 0x0f, 0xc7, 0x08}, at_r11(), "f0 49 0f c7 0b"},
      {"add [r15 slot],eax", k64, {0x41, 0x01, 0xc7}, at_slot(15), "01 44 24 78"},
      {"add word [r10 slot],imm",
       k64,
       {0x66, 0x41, 0x81, 0xc2, 1, 2},
       at_slot(10),
       "66 81 44 24 50 01 02"},
      {"mov ah via rsi", k64, {0x88, 0x23}, Rewrite{.base = 6}, "88 26"},
      // SIMD.
      {"movaps xmm9,[rax]", k64, {0x44, 0x0f, 0x28, 0x08}, at_r11(), "45 0f 28 0b"},
      {"movdqa", k64, {0x66, 0x0f, 0x6f, 0x08}, at_r11(), "66 41 0f 6f 0b"},
      {"movss", k64, {0xf3, 0x0f, 0x10, 0x08}, at_r11(), "f3 41 0f 10 0b"},
      {"movq r15,xmm0",
       k64,
       {0x66, 0x49, 0x0f, 0x7e, 0xc7},
       registers(kNoRegister, 10),
       "66 49 0f 7e c2"},
      {"fld qword", k64, {0xdd, 0x00}, at_r11(), "41 dd 03"},
      {"palignr", k64, {0x66, 0x0f, 0x3a, 0x0f, 0x00, 5}, at_r11(), "66 41 0f 3a 0f 03 05"},
      // VEX: two bytes become three when the address register needs B.
      {"vaddps xmm1,xmm2,[rax]", k64, {0xc5, 0xe8, 0x58, 0x08}, at_r11(), "c4 c1 68 58 0b"},
      {"vaddps ymm9,ymm10,ymm11", k64, {0xc4, 0x41, 0x2c, 0x58, 0xcb}, kNone, "c4 41 2c 58 cb"},
      {"andn eax,ebx,[rcx]", k64, {0xc4, 0xe2, 0x60, 0xf2, 0x01}, at_r11(), "c4 c2 60 f2 03"},
      {"andn r10,r11,r15",
       k64,
       {0xc4, 0x42, 0xa0, 0xf2, 0xd7},
       registers(14, 10, 11),
       "c4 42 a0 f2 f2"},
      {"rorx eax,ecx,3", k64, {0xc4, 0xe3, 0x7b, 0xf0, 0xc1, 3}, kNone, "c4 e3 7b f0 c1 03"},
      // EVEX: compressed displacement and index go away with the operand.
      {"vaddps zmm17,zmm18,[rax+64]",
       k64,
       {0x62, 0xe1, 0x6c, 0x40, 0x58, 0x48, 0x01},
       at_r11(),
       "62 c1 6c 40 58 0b"},
      {"vmovups [rax+r9*2]{k1},zmm1",
       k64,
       {0x62, 0xb1, 0x7c, 0x49, 0x11, 0x0c, 0x48},
       at_r11(),
       "62 d1 7c 49 11 0b"},
      // 32-bit forms that do not exist, or mean something else, in 64-bit mode.
      {"inc ecx", k32, {0x41}, kNone, "ff c1"},
      {"dec sp", k32, {0x66, 0x4c}, registers(kNoRegister, 15), "66 41 ff cf"},
      {"82 /0", k32, {0x82, 0xc1, 0x05}, kNone, "80 c1 05"},
      {"add [disp32],eax", k32, {0x01, 0x05, 1, 2, 3, 4}, at_r11(), "41 01 03"},
      {"add esp,8", k32, {0x83, 0xc4, 8}, registers(kNoRegister, 15), "41 83 c7 08"},
      // 16-bit code: the operand size is turned round.
      {"add cx,ax", k16, {0x01, 0xc1}, kNone, "66 01 c1"},
      {"add ecx,eax", k16, {0x66, 0x01, 0xc1}, kNone, "01 c1"},
      {"add cl,al", k16, {0x00, 0xc1}, kNone, "00 c1"},
      {"mov ax,imm16", k16, {0xb8, 1, 2}, kNone, "66 b8 01 02"},
      {"mov eax,imm32", k16, {0x66, 0xb8, 1, 2, 3, 4}, kNone, "b8 01 02 03 04"},
      {"add [bx+si],ax", k16, {0x01, 0x00}, at_r11(), "66 41 01 03"},
      {"inc bx", k16, {0x43}, kNone, "66 ff c3"},
      {"movzx eax,byte [bx]", k16, {0x66, 0x0f, 0xb6, 0x07}, at_r11(), "41 0f b6 03"},
  };
  for (const Golden& g : goldens) EXPECT_EQ(encode(g.mode, g.guest, g.rewrite), g.host) << g.what;
}

// Each register of each field, decoded again by the host's rules: it is the one that was asked for.
TEST_F(Encoding, EveryRegisterInEveryField) {
  const Bytes instructions[] = {
      {0x01, 0xd9},                    // ADD ECX, EBX
      {0x48, 0x03, 0xd9},              // ADD RBX, RCX
      {0x66, 0x01, 0xd9},              // ADD CX, BX
      {0x40, 0x00, 0xf7},              // ADD DIL, SIL
      {0x0f, 0xb6, 0xc1},              // MOVZX EAX, CL
      {0x48, 0x0f, 0xaf, 0xd9},        // IMUL RBX, RCX
      {0x4d, 0x0f, 0xa3, 0xd9},        // BT R9, R11
      {0x0f, 0x4c, 0xd9},              // CMOVL EBX, ECX
      {0xf2, 0x0f, 0x38, 0xf0, 0xc3},  // CRC32 EAX, BL
      {0xc4, 0xe2, 0x60, 0xf2, 0xc1},  // ANDN EAX, EBX, ECX
      {0xc4, 0xe2, 0xe3, 0xf5, 0xc1},  // PDEP RAX, RBX, RCX
  };
  for (const Bytes& bytes : instructions) {
    const Insn guest = decode(k64, bytes);
    for (std::uint8_t reg = 0; reg < 16; ++reg)
      for (std::uint8_t rm = 0; rm < 16; ++rm) {
        Rewrite w = registers(reg, rm);
        if (guest.vvvv.used) w.vvvv = static_cast<std::uint8_t>(reg ^ rm);
        const HostBytes host = encode_for_host(guest, k64, w);
        const Insn again = decode(k64, Bytes(host.view().begin(), host.view().end()));
        ASSERT_EQ(again.mnemonic(), guest.mnemonic()) << hex(host.view());
        ASSERT_EQ(again.raw.operand_width, guest.raw.operand_width) << hex(host.view());
        ASSERT_EQ(again.reg.number, reg) << hex(host.view());
        ASSERT_EQ(again.rm.number, rm) << hex(host.view());
        ASSERT_FALSE(again.reg.high_byte || again.rm.high_byte) << hex(host.view());
        if (guest.vvvv.used) {
          ASSERT_EQ(again.vvvv.number, w.vvvv);
        }
      }
  }
}

TEST_F(Encoding, EveryBaseRegister) {
  for (const Bytes& bytes : {Bytes{0x01, 0x44, 0x8b, 0x08}, Bytes{0xc5, 0xe8, 0x58, 0x08},
                             Bytes{0x62, 0xf1, 0x6c, 0x48, 0x58, 0x48, 0x01}})
    for (std::uint8_t base :
         {0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 15}) {  // 5 and 13 need a byte more
      Rewrite w;
      w.base = base;
      const Insn guest = decode(k64, bytes);
      const HostBytes host = encode_for_host(guest, k64, w);
      const Insn again = decode(k64, Bytes(host.view().begin(), host.view().end()));
      const MemoryOperand m = again.memory_operand();
      EXPECT_EQ(again.mnemonic(), guest.mnemonic());
      EXPECT_EQ(m.base, base) << hex(host.view());
      EXPECT_EQ(m.index, kNoRegister);
      EXPECT_EQ(m.displacement, 0);
    }
}

TEST_F(Encoding, HighByteRegistersConflictWithRex) {
  EXPECT_TRUE(high_byte_conflict(decode(k64, {0x88, 0x23}), at_r11()));  // MOV [RBX], AH
  EXPECT_FALSE(high_byte_conflict(decode(k64, {0x88, 0x23}), Rewrite{.base = 6}));
  EXPECT_FALSE(high_byte_conflict(decode(k64, {0x88, 0x1b}), at_r11()));  // MOV [RBX], BL
  EXPECT_TRUE(high_byte_conflict(decode(k64, {0x0f, 0xb6, 0xe4}), registers(15, kNoRegister)));
  EXPECT_FALSE(high_byte_conflict(decode(k64, {0x00, 0xdc}), kNone));  // ADD AH, BL
}

}  // namespace
}  // namespace ringshift::translator
