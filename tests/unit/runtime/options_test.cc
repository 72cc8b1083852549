// tests/unit/runtime/options_test.cc - QEMU's spelling, and one clear line for everything else.
#include "runtime/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/option_values.h"
#include "runtime/run_option_rows.h"

namespace ringshift::runtime {
namespace {

using testing::HasSubstr;
using testing::Not;
using Words = std::vector<std::string>;

RunOptions parsed(const Words& words) {
  auto options = parse_run_options(words);
  EXPECT_TRUE(options) << options.error();
  return options.value_or(RunOptions{});
}
std::string refused(const Words& words) {
  auto options = parse_run_options(words);
  return options ? "(accepted)" : options.error();
}

TEST(Options, OneAndTwoDashesMeanTheSame) {
  for (const char* dash : {"-", "--"}) {
    const std::string d(dash);
    const auto options = parsed({d + "kernel", "k", d + "initrd", "i", d + "append", "a=b -x --y",
                                 d + "m", "512", d + "no-reboot", d + "nographic"});
    EXPECT_EQ(options.kernel, "k");
    EXPECT_EQ(options.initrd, "i");
    EXPECT_EQ(options.append, "a=b -x --y");
    EXPECT_EQ(options.ram_bytes, 512u << 20);
    EXPECT_TRUE(options.no_reboot);
  }
}

TEST(Options, ArgumentsMayLookLikeAnything) {
  EXPECT_EQ(parsed({"-kernel", "k", "-append", ""}).append, "");
  EXPECT_EQ(parsed({"-kernel", "k", "-append", "-kernel"}).append, "-kernel");
  EXPECT_EQ(parsed({"-kernel", "k", "-append", "[a,b]"}).append, "[a,b]");
  EXPECT_EQ(parsed({"-kernel", "k", "-append", "{}"}).append, "{}");
  EXPECT_EQ(parsed({"-kernel", "k", "-append", "a", "-append", "b"}).append, "b");
}

TEST(Options, MemorySizes) {
  EXPECT_EQ(parsed({"-m", "2G"}).ram_bytes, 2ull << 30);
  EXPECT_EQ(parsed({"-m", "size=64M"}).ram_bytes, 64ull << 20);
  EXPECT_EQ(parsed({"-m", "4096K"}).ram_bytes, 4ull << 20);
  EXPECT_EQ(parsed({}).ram_bytes, 128ull << 20);
  for (const char* bad : {"0", "x", "", "-1", "1Q", "99999999999999999999", "512,slots=2", "1023K",
                          "2T", "18446744073709551615G"})
    EXPECT_THAT(refused({"-m", bad}), HasSubstr("-m")) << bad;
}

TEST(Options, OneProcessor) {
  EXPECT_TRUE(parse_run_options({"-smp", "1"}));
  EXPECT_TRUE(parse_run_options({"-smp", "cpus=1,cores=1"}));
  for (const char* bad : {"2", "0", "cpus=4", "1,cores=2", "x"})
    EXPECT_THAT(refused({"-smp", bad}), HasSubstr("one processor")) << bad;
}

TEST(Options, Accelerators) {
  EXPECT_EQ(parsed({}).accelerator, AcceleratorKind::kAuto);
  EXPECT_EQ(parsed({"-accel", "auto"}).accelerator, AcceleratorKind::kAuto);
  EXPECT_EQ(parsed({"-accel", "kvm"}).accelerator, AcceleratorKind::kKvm);
  EXPECT_EQ(parsed({"-machine", "accel=kvm"}).accelerator, AcceleratorKind::kKvm);
  const auto bt = parsed({"-accel", "bt,cache=64M,chain=off,block=1"});
  EXPECT_EQ(bt.accelerator, AcceleratorKind::kBt);
  EXPECT_EQ(bt.translator.cache_bytes, 64u << 20);
  EXPECT_EQ(bt.translator.block_instructions, 1u);
  EXPECT_EQ(bt.translator.chain, false);
  for (const char* bad :
       {"bt,block=0", "bt,chain=maybe", "bt,cache=1K", "bt,x=1", "kvm,cache=64M", "hax"})
    EXPECT_THAT(refused({"-accel", bad}), HasSubstr("-accel")) << bad;
}

TEST(Options, SerialPorts) {
  const auto default_port = parsed({}).serial;
  ASSERT_EQ(default_port.size(), 1u);
  EXPECT_TRUE(default_port[0].uses_stdio() && default_port[0].escape_keys);
  EXPECT_TRUE(parsed({"-nodefaults"}).serial.empty());
  EXPECT_EQ(parsed({"-display", "none"}).serial[0].kind, BackendSpec::Kind::kNull);
  EXPECT_FALSE(parsed({"-serial", "stdio"}).serial[0].escape_keys);
  EXPECT_TRUE(parsed({"-nographic", "-serial", "stdio"}).serial[0].escape_keys);
  const auto two =
      parsed({"-serial", "file:/tmp/x", "-serial", "unix:/tmp/s,server,nowait"}).serial;
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0].path, "/tmp/x");
  EXPECT_TRUE(two[1].server);
  EXPECT_FALSE(two[1].wait);
  EXPECT_THAT(refused({"-serial", "stdio", "-serial", "mon:stdio"}), HasSubstr("share"));
  EXPECT_THAT(refused({"-serial", "udp::4"}), HasSubstr("-serial udp::4"));
  EXPECT_THAT(refused({"-serial", "file:"}), HasSubstr("path"));
  EXPECT_THAT(refused({"-serial", "unix:/a,nowait"}), HasSubstr("servers only"));
}

TEST(Options, Devices) {
  const auto options =
      parsed({"-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-device", "pc-testdev",
              "-device", "pci-testdev", "-device", "loader,file=f,addr=0x7c00,mode=real16"});
  ASSERT_EQ(options.debug_exit.size(), 1u);
  EXPECT_EQ(options.debug_exit[0].port, 0xf4);
  EXPECT_EQ(options.debug_exit[0].bytes, 4);
  EXPECT_TRUE(options.pc_testdev && options.pci_testdev);
  ASSERT_EQ(options.loaders.size(), 1u);
  EXPECT_EQ(options.loaders[0].address, 0x7c00u);
  EXPECT_EQ(options.loaders[0].mode, FlatMode::kReal16);
  for (const char* bad : {"e1000", "isa-debug-exit,iobase=0x10000", "isa-debug-exit,iosize=0",
                          "isa-debug-exit,color=red", "loader,file=f", "loader,addr=1", "",
                          "loader,file=f,addr=1,mode=v8086", "loader,file=f,addr=1,entry=2"})
    EXPECT_THAT(refused({"-device", bad}), HasSubstr("-device")) << bad;
}

TEST(Options, EveryErrorNamesItsOptionInOneLine) {
  const std::vector<Words> lines{{"-frobnicate"},
                                 {"-bios", ""},
                                 {"-hda", ""},
                                 {"-drive", "if=scsi,file=x"},
                                 {"-drive", "if=none,id=lonely,file=x"},
                                 {"-device", "virtio-blk-pci,drive=nowhere"},
                                 {"-netdev", "user"},
                                 {"-netdev", "user,id=n,hostfwd=tcp:80"},
                                 {"-device", "virtio-net-pci,netdev=nowhere"},
                                 {"-kernel"},
                                 {"-append", "x"},
                                 {"-initrd", "x"},
                                 {"-d", "everything"},
                                 {"-vga", "cirrus"},
                                 {"-net", "user"},
                                 {"-monitor", "udp:1"},
                                 {"-boot", "x"},
                                 {"-rtc", "base=mars"},
                                 {"-M", "q35"},
                                 {"-display", "sdl"},
                                 {"disk.img"},
                                 {"-fw_cfg", "name=a"},
                                 {"-"},
                                 {""},
                                 {"---kernel", "x"},
                                 {"-kernel", ""}};
  for (const auto& line : lines) {
    const auto error = refused(line);
    EXPECT_THAT(error, HasSubstr(line[0])) << line[0];
    EXPECT_THAT(error, Not(HasSubstr("\n")));
  }
  EXPECT_THAT(refused({"-blockdev", "x"}), HasSubstr("not supported yet"));
  EXPECT_THAT(refused({"-frobnicate"}), HasSubstr("unknown option"));
}

// Disks go where they are told, and the others where there is room.
TEST(Options, DrivesFindTheirPlaces) {
  const auto options = parse_run_options({"-hda", "a", "-cdrom", "b", "-drive", "file=c", "-drive",
                                          "file=d,if=virtio,format=raw,readonly=on", "-snapshot"});
  ASSERT_TRUE(options) << options.error();
  const auto drive = [&](const std::string& file) {
    return *std::ranges::find_if(options->drives,
                                 [&](const DriveOptions& d) { return d.image.file == file; });
  };
  ASSERT_EQ(options->drives.size(), 4u);
  EXPECT_EQ(drive("a").index, 0u);
  EXPECT_EQ(drive("b").index, 2u) << "the second channel's first drive";
  EXPECT_TRUE(drive("b").cdrom && drive("b").image.read_only);
  EXPECT_FALSE(drive("b").image.snapshot);
  EXPECT_EQ(drive("c").index, 1u);
  EXPECT_TRUE(drive("c").image.snapshot);
  EXPECT_EQ(drive("d").interface, DriveInterface::kVirtio);
  EXPECT_TRUE(options->uses_firmware());
  EXPECT_FALSE(parse_run_options({"-hda", "a", "-drive", "file=b,index=0"}));
}

TEST(Options, NetworksNameTheirAddresses) {
  const auto options = parse_run_options(
      {"-netdev",
       "user,id=n,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp::53-10.9.0.15:53,net=10.9.0.0/16",
       "-device", "virtio-net-pci,netdev=n,mac=52:54:00:00:00:01"});
  ASSERT_TRUE(options) << options.error();
  const auto& user = options->netdevs.at(0).user;
  EXPECT_EQ(user.host, 0x0a090002u);
  ASSERT_EQ(user.forwards.size(), 2u);
  EXPECT_EQ(user.forwards[0].host_address, 0x7f000001u);
  EXPECT_EQ(user.forwards[0].guest_port, 80);
  EXPECT_TRUE(user.forwards[1].udp);
  EXPECT_EQ(options->nics.at(0).address[5], 1);
  EXPECT_FALSE(parse_run_options({"-nic", "user,mac=01:00:00:00:00:00"})) << "a group's address";
}

TEST(Options, EveryRowCanBeGiven) {
  // A row that cannot be reached through the parser would fail here as unknown.
  for (const auto& row : run_option_rows()) {
    Words words{"-" + std::string(row.name)};
    if (!row.argument.empty()) words.push_back("none");
    EXPECT_THAT(refused(words), Not(HasSubstr("unknown option"))) << row.name;
  }
}

TEST(Options, LogItems) {
  const auto log = parsed({"-d", "in_asm,stats", "-D", "file"}).log;
  EXPECT_TRUE(log.in_asm && log.stats);
  EXPECT_FALSE(log.out_asm || log.exec);
  EXPECT_EQ(log.file, "file");
}

TEST(Options, ConformanceSuiteCommandLine) {
  EXPECT_TRUE(parse_run_options({"-nodefaults", "-device", "pc-testdev", "-device",
                                 "isa-debug-exit,iobase=0xf4,iosize=0x4", "-vnc", "none", "-serial",
                                 "stdio", "-device", "pci-testdev", "-machine", "pc", "-kernel",
                                 "t.flat", "-smp", "1", "-append", "x"}));
}

TEST(CommandLine, Verbs) {
  EXPECT_TRUE(std::holds_alternative<TextAnswer>(*parse_command_line({})));
  EXPECT_TRUE(std::holds_alternative<TextAnswer>(*parse_command_line({"--version"})));
  EXPECT_TRUE(std::holds_alternative<TextAnswer>(*parse_command_line({"run", "--help"})));
  EXPECT_TRUE(std::holds_alternative<RunOptions>(*parse_command_line({"run"})));
  EXPECT_TRUE(std::get<ProbeOptions>(*parse_command_line({"probe", "--json"})).json);
  EXPECT_FALSE(parse_command_line({"-kernel", "x"}));
  EXPECT_FALSE(parse_command_line({"probe", "-x"}));
}

TEST(Values, Numbers) {
  EXPECT_EQ(parse_number("0x1F"), 31u);
  EXPECT_EQ(parse_number("017"), 15u);
  EXPECT_EQ(parse_number("0"), 0u);
  for (const char* bad : {"", "x", "1x", " 1", "+1", "-1", "08", "0x", "18446744073709551616"})
    EXPECT_FALSE(parse_number(bad)) << bad;
  EXPECT_EQ(parse_size("3M", 1), 3u << 20);
  EXPECT_EQ(parse_size("3MB", 1), 3u << 20);
  EXPECT_FALSE(parse_size("B", 1));
}

}  // namespace
}  // namespace ringshift::runtime
