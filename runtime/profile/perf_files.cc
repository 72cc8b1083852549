// runtime/profile/perf_files.cc - the two files by which a host's perf learns of code.
#include "runtime/profile/perf_files.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "runtime/message.h"

namespace ringshift::runtime::profile {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

tl::expected<File, std::string> create(const std::string& path, const char* mode) {
  File file(std::fopen(path.c_str(), mode));
  if (!file) return tl::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  return file;
}

class Output : public PerfFile {
 public:
  Output(File file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  ~Output() override { Output::flush(); }
  void flush() override {
    if (std::fflush(file_.get()) != 0) complain();
  }

 protected:
  void write(const void* bytes, std::size_t count) {
    if (!failed_ && std::fwrite(bytes, 1, count, file_.get()) != count) complain();
  }
  std::FILE* file() { return file_.get(); }

 private:
  void complain() {
    if (!failed_) print_message("ringshift: {}: {}", path_, std::strerror(errno));
    failed_ = true;
  }

  File file_;
  std::string path_;
  bool failed_ = false;
};

class PerfMap final : public Output {
 public:
  using Output::Output;
  void add(const NewCode& code) override {
    const auto line = fmt::format("{:x} {:x} {}\n", code.address, code.bytes.size(), code.name);
    write(line.data(), line.size());
  }
};

// Of the specification: JITHEADER and its records, as they lie in the file.
struct JitHeader {
  std::uint32_t magic = 0x4a695444;  // "JiTD"
  std::uint32_t version = 1;
  std::uint32_t total_size = sizeof(JitHeader);
  std::uint32_t elf_machine = EM_X86_64;
  std::uint32_t pad = 0;
  std::uint32_t pid = 0;
  std::uint64_t timestamp = 0;
  std::uint64_t flags = 0;
};
static_assert(sizeof(JitHeader) == 40);

struct JitCodeLoad {
  std::uint32_t id = 0;  // JIT_CODE_LOAD
  std::uint32_t total_size = 0;
  std::uint64_t timestamp = 0;
  std::uint32_t pid = 0, tid = 0;
  std::uint64_t vma = 0, code_address = 0, code_size = 0, code_index = 0;
};
static_assert(sizeof(JitCodeLoad) == 56);

// perf record -k mono stamps its samples with the same clock.
std::uint64_t timestamp() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(t.tv_nsec);
}

class JitDump final : public Output {
 public:
  JitDump(File opened, const std::string& path) : Output(std::move(opened), path) {
    JitHeader header;
    header.pid = static_cast<std::uint32_t>(::getpid());
    header.timestamp = timestamp();
    write(&header, sizeof header);
    flush();
    // The mark that tells perf of the file: a mapping of it that could be run.
    marker_ =
        ::mmap(nullptr, kMarkerBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, ::fileno(file()), 0);
  }
  ~JitDump() override {
    if (marker_ != MAP_FAILED) ::munmap(marker_, kMarkerBytes);
  }
  void add(const NewCode& code) override {
    JitCodeLoad load;
    load.total_size =
        static_cast<std::uint32_t>(sizeof load + code.name.size() + 1 + code.bytes.size());
    load.timestamp = timestamp();
    load.pid = static_cast<std::uint32_t>(::getpid());
    load.tid = static_cast<std::uint32_t>(::syscall(SYS_gettid));
    load.vma = load.code_address = code.address;
    load.code_size = code.bytes.size();
    load.code_index = ++count_;
    write(&load, sizeof load);
    write(code.name.c_str(), code.name.size() + 1);
    write(code.bytes.data(), code.bytes.size());
  }

 private:
  static constexpr std::size_t kMarkerBytes = 4096;
  void* marker_ = MAP_FAILED;
  std::uint64_t count_ = 0;
};

}  // namespace

tl::expected<std::unique_ptr<PerfFile>, std::string> open_perf_map(const std::string& path) {
  auto file = create(path, "w");
  if (!file) return tl::unexpected("-perfmap: " + file.error());
  return std::make_unique<PerfMap>(std::move(*file), path);
}

tl::expected<std::unique_ptr<PerfFile>, std::string> open_jit_dump(const std::string& path) {
  auto file = create(path, "w+");
  if (!file) return tl::unexpected("-jitdump: " + file.error());
  return std::make_unique<JitDump>(std::move(*file), path);
}

}  // namespace ringshift::runtime::profile
