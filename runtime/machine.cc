// runtime/machine.cc - building a machine, the vCPU's thread, and requests that end or restart it.
#include "runtime/machine.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <x86intrin.h>

#include <chrono>
#include <cstdio>
#include <limits>
#include <thread>

#include "runtime/message.h"

namespace ringshift::runtime {
namespace {

constexpr auto kDrainPatience = std::chrono::milliseconds(2000);

// What firmware writes to the memory type registers: write-back, and the hole for devices uncached.
// SDM Vol. 3 "Memory Type Range Registers (MTRRs)".
void set_memory_types(guest::CpuState& state, const guest::CpuModel& model) {
  if (!model.has(guest::feature::kMtrr)) return;
  constexpr std::uint64_t kEnabled = 0xc00, kWriteBack = 6, kUncached = 0, kValid = 0x800;
  const auto address_mask = (std::uint64_t{1} << model.physical_address_bits()) - 1;
  const auto hole_bytes = guest::PhysicalMemory::kHighRamBase - Board::kPciHole;
  state.msr.mtrr_def_type = kEnabled | kWriteBack;
  state.msr.mtrr_fixed.fill(0x0606060606060606);
  state.msr.mtrr_variable[0] = Board::kPciHole | kUncached;
  state.msr.mtrr_variable[1] = (address_mask & ~(hole_bytes - 1)) | kValid;
}

}  // namespace

// The local APIC's "look at me".
class Machine::Attention final : public devices::Line {
 public:
  explicit Attention(Machine& machine) : machine_(machine) {}
  void set(bool level) override {
    if (!level) return;
    if (machine_.vcpu_) machine_.vcpu_->request_interrupt();
    machine_.wake();
  }

 private:
  Machine& machine_;
};

// What a host channel delivers to: the serial port of the board that is there now.
class Machine::SerialEnd final : public CharacterReceiver {
 public:
  SerialEnd(Machine& machine, std::size_t index) : machine_(machine), index_(index) {}
  std::size_t offer(std::span<const std::uint8_t> bytes) override {
    std::lock_guard lock(machine_.mutex_);
    return machine_.board_->serial(index_)->receive(bytes);
  }
  void send_break() override {
    std::lock_guard lock(machine_.mutex_);
    machine_.board_->serial(index_)->receive_break();
  }

 private:
  Machine& machine_;
  std::size_t index_;
};

Machine::Machine(MachineConfig config)
    : config_(std::move(config)),
      timers_(host_time_),
      tsc_(timers_.clock(), config_.model.tsc_hz()),
      attention_(std::make_unique<Attention>(*this)),
      pci_window_(mutex_, mmio_depth_),
      chipset_window_(mutex_, mmio_depth_),
      testdev_window_(mutex_, mmio_depth_),
      vga_window_(mutex_, mmio_depth_),
      flash_window_(mutex_, mmio_depth_) {}

// Disks write to guest memory, and cables post jobs, until their threads have ended: that comes
// before anything that they use goes.
Machine::~Machine() {
  forget_disk_requests();
  board_.reset();
  config_.drives.clear();
  config_.nics.clear();
  config_.flash.reset();
}

void Machine::forget_disk_requests() {
  for (const auto& drive : config_.drives)
    if (drive.disk) drive.disk->forget();
  if (flash_) flash_->reset();
}

tl::expected<std::unique_ptr<Machine>, std::string> Machine::create(MachineConfig config,
                                                                    Accelerator& accelerator) {
  std::unique_ptr<Machine> machine(new Machine(std::move(config)));
  if (auto built = machine->build(accelerator); !built) return tl::unexpected(built.error());
  return machine;
}

tl::expected<void, std::string> Machine::build(Accelerator& accelerator) {
  auto memory = guest::PhysicalMemory::create(config_.ram_bytes);
  if (!memory) return tl::unexpected("-m: " + memory.error());
  memory_ = std::move(*memory);
  connect_memory();
  auto vcpu = accelerator.create_vcpu(*memory_, config_.model, *this);
  if (!vcpu) return tl::unexpected(vcpu.error());
  vcpu_ = std::move(*vcpu);
  const auto post_locked = [this](std::function<void()> job) {
    post([this, job = std::move(job)] {
      std::lock_guard lock(mutex_);
      job();
    });
  };
  for (const auto& drive : config_.drives)
    if (drive.disk) drive.disk->connect(post_locked);
  if (config_.flash && config_.flash->disk) config_.flash->disk->connect(post_locked);
  for (const auto& nic : config_.nics) nic.link->connect(post_locked);
  tsc_.set_offset_source(&vcpu_->state().msr.tsc_offset);
  timers_.set_deadline_observer([this] { deadline_moved(); });
  if (auto on = power_on(); !on) return on;

  for (std::size_t i = 0; i < config_.serial.size(); ++i) {
    if (!config_.serial[i]) continue;
    serial_ends_.push_back(std::make_unique<SerialEnd>(*this, i));
    config_.serial[i]->start(loop_, *serial_ends_.back());
  }
  if (config_.debug_console) config_.debug_console->start(loop_, no_input_);
  for (const auto& nic : config_.nics) nic.link->start();
  if (config_.start_paused) pause();
  return {};
}

void Machine::connect_memory() {
  // These ranges are disjoint and above RAM, so adding them cannot fail.
  const std::uint64_t pci_base = Board::pci_memory_base(*memory_);
  static_cast<void>(
      memory_->add_mmio({pci_base}, devices::PciHost::kHoleEnd - pci_base, pci_window_));
  static_cast<void>(
      memory_->add_mmio({Board::kChipsetWindow}, Board::kChipsetBytes, chipset_window_));
  static_cast<void>(memory_->add_mmio({devices::PcTestdev::kMemoryBase},
                                      devices::PcTestdev::kMemoryBytes, testdev_window_));
  if (config_.vga)
    static_cast<void>(
        memory_->add_mmio({devices::Vga::kLegacyBase}, devices::Vga::kLegacyBytes, vga_window_));
  if (config_.firmware) place_firmware(config_.firmware->image);
  if (config_.flash) {
    flash_ = std::make_unique<devices::Flash>(std::move(config_.flash->contents),
                                              config_.flash->disk.get());
    flash_window_.set_target(flash_.get());
    const std::uint64_t below = config_.firmware->image.size() + flash_->bytes();
    static_cast<void>(memory_->add_mmio({guest::PhysicalMemory::kHighRamBase - below},
                                        flash_->bytes(), flash_window_));
  }
}

// The processor's first instruction is 16 bytes below 4 GiB; 16-bit code finds the rest below 1
// MiB.
void Machine::place_firmware(std::span<const std::uint8_t> image) {
  constexpr std::size_t kMostLow = 128 << 10;
  const auto low = image.last(std::min(image.size(), kMostLow));
  static_cast<void>(memory_->add_rom({guest::PhysicalMemory::kHighRamBase - image.size()}, image));
  static_cast<void>(memory_->add_rom({(1 << 20) - low.size()}, low));
}

tl::expected<void, std::string> Machine::power_on() {
  std::lock_guard lock(mutex_);
  forget_disk_requests();
  board_.reset();  // its timers go before the new board's come
  board_ = std::make_unique<Board>(
      config_, BoardSurroundings{*memory_, timers_, tsc_, *this, *this, *attention_});
  if (!board_->problem().empty()) return tl::unexpected(board_->problem());
  pci_window_.set_target(&board_->pci_memory());
  chipset_window_.set_target(&board_->chipset_memory());
  testdev_window_.set_target(board_->testdev_memory());
  vga_window_.set_target(board_->vga_memory());

  auto& state = vcpu_->state();
  guest::reset(state);
  if (config_.firmware) {
    vcpu_->state_changed();
    return {};
  }
  set_memory_types(state, config_.model);
  BootEnvironment environment{.long_mode = config_.model.has(guest::feature::kLongMode),
                              .memory_map = memory_map(*memory_)};
  if (board_->place_acpi_tables()) environment.acpi_rsdp = Board::kRootPointer;
  for (const auto& image : config_.images) {
    if (auto placed = boot_flat(image, *memory_, state); !placed)
      return tl::unexpected("-device loader: " + placed.error());
  }
  if (config_.kernel) {
    if (auto booted = boot(*config_.kernel, environment, *memory_, state); !booted) return booted;
  }
  vcpu_->state_changed();
  return {};
}

int Machine::run() {
  std::thread events([this] { serve_events(); });
  while (!stopping_) {
    serve_requests();
    if (stopping_) break;
    wait_while_paused();
    if (stopping_) break;
    std::uint64_t seen = 0;
    {
      // Read before run(): a wake-up that comes while it decides to halt is then not lost.
      std::lock_guard lock(mutex_);
      seen = wakeups_;
    }
    switch (vcpu_->run()) {
      case ExitReason::kHalted:
        wait_while_halted(seen);
        break;
      case ExitReason::kShutdown:
        request(Request::kTripleFault);
        break;
      case ExitReason::kDebug:
        pause();
        if (debug_stop_) debug_stop_();
        break;
      case ExitReason::kFailed:
        stop(1);
        break;
      case ExitReason::kStopped:
        break;
    }
  }
  finish();
  events.join();
  for (auto& channel : config_.serial)
    if (channel) channel->drain(kDrainPatience);
  if (config_.debug_console) config_.debug_console->drain(kDrainPatience);
  return exit_status_;
}

void Machine::finish() {
  finished_ = true;
  loop_.wake();
}

// Idle costs nothing: the thread sleeps until a device, a request or another thread wakes it.
void Machine::wait_while_halted(std::uint64_t seen) {
  const auto began = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  changed_.wait(
      lock, [&] { return wakeups_ != seen || requests_ != 0 || stopping_ || pause_requested_; });
  idle_ns_ += std::chrono::nanoseconds(std::chrono::steady_clock::now() - began).count();
}

void Machine::wait_while_paused() {
  if (!pause_requested_) return;
  std::unique_lock lock(mutex_);
  timers_.pause();
  const auto paused_at = __rdtsc();
  changed_.wait(lock, [&] { return !pause_requested_ || stopping_ || requests_ != 0; });
  // The guest's TSC stands still with its clock.
  vcpu_->state().msr.tsc_offset -= __rdtsc() - paused_at;
  timers_.resume();
  lock.unlock();
  vcpu_->state_changed();
  loop_.wake();
}

void Machine::serve_requests() {
  const auto requests = requests_.exchange(0);
  const auto has = [&](Request what) { return requests & static_cast<unsigned>(what); };
  if (has(Request::kJob)) run_jobs();
  if (has(Request::kPowerOff)) {
    if (config_.no_shutdown) {
      pause();
    } else {
      stop(0);
    }
  } else if (has(Request::kReset) || has(Request::kTripleFault)) {
    restart_or_exit(has(Request::kTripleFault));
  }
}

void Machine::post(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  request(Request::kJob);
}

void Machine::run_jobs() {
  std::vector<std::function<void()>> jobs;
  {
    std::lock_guard lock(mutex_);
    jobs.swap(jobs_);
  }
  for (const auto& job : jobs) job();
}

void Machine::restart_or_exit(bool triple_fault) {
  if (config_.no_reboot) {
    if (triple_fault) {
      const auto& state = vcpu_->state();
      print_message("ringshift: triple fault at {:#06x}:{:#x}; -no-reboot ends the run",
                    state.segment(guest::Seg::kCs).selector, state.rip);
    }
    return stop(0);
  }
  tell(MachineEvent::kReset);
  if (auto on = power_on(); !on) {
    print_message("ringshift: {}", on.error());
    stop(1);
  }
}

void Machine::request(Request what) {
  requests_ |= static_cast<unsigned>(what);
  if (vcpu_) vcpu_->stop();
  wake();
}

void Machine::wake() {
  std::lock_guard lock(mutex_);
  ++wakeups_;
  changed_.notify_all();
}

void Machine::tell(MachineEvent event) {
  for (const auto& callback : event_callbacks_) callback(event);
}

void Machine::stop(int status) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    exit_status_ = status;
    stopping_ = true;
  }
  tell(MachineEvent::kShutdown);
  vcpu_->stop();
  wake();
}

void Machine::pause() {
  if (!pause_requested_.exchange(true)) tell(MachineEvent::kStop);
  vcpu_->stop();
  wake();
}

void Machine::resume() {
  if (pause_requested_.exchange(false)) tell(MachineEvent::kResume);
  wake();
}

void Machine::toggle_pause() {
  if (pause_requested_)
    resume();
  else
    pause();
}

void Machine::serve_events() {
  // The default slack of 50 us would make every guest timer late by that much.
  ::prctl(PR_SET_TIMERSLACK, 1);
  while (!finished_) {
    std::optional<std::int64_t> sleep;
    {
      std::lock_guard lock(mutex_);
      timers_.run_due();
      sleep = timers_.time_to_next_deadline();
      loop_sleeps_until_ =
          timers_.next_deadline().value_or(std::numeric_limits<std::int64_t>::max());
    }
    loop_.run_once(sleep);
  }
}

// Called with the device lock held, from whichever thread armed the timer.
void Machine::deadline_moved() {
  const auto next = timers_.next_deadline();
  if (!next || *next >= loop_sleeps_until_) return;
  loop_sleeps_until_ = *next;
  loop_.wake();
}

}  // namespace ringshift::runtime
