// runtime/machine.h - one virtual machine: processor, memory, board, time, and the host around
// them. run() is the vCPU's thread; a second thread serves timers and host input. Both hold the
// device lock while they are in a device. stop(), pause() and resume() may be called from any
// thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "devices/flash.h"
#include "devices/local_apic.h"
#include "devices/power_control.h"
#include "devices/timer_queue.h"
#include "guest/platform.h"
#include "runtime/accelerator.h"
#include "runtime/board.h"
#include "runtime/event_loop.h"
#include "runtime/guest_clock.h"
#include "runtime/locked_mmio.h"
#include "runtime/machine_config.h"
#include "runtime/run_delay.h"

namespace ringshift::runtime {

// What a watcher of the machine may want to hear of.
enum class MachineEvent { kStop, kResume, kReset, kPowerDown, kShutdown };

class Machine final : private guest::Platform,
                      private devices::PowerControl,
                      private devices::CpuSignals {
 public:
  // Everything is loaded and checked when this returns; the error is one line for the user.
  static tl::expected<std::unique_ptr<Machine>, std::string> create(MachineConfig config,
                                                                    Accelerator& accelerator);
  ~Machine() override;

  // Runs the guest until it powers off or someone stops the machine; returns the exit status.
  int run();

  // What ends run(), with this status.
  void stop(int status);
  void pause();
  void resume();
  void toggle_pause();
  bool is_paused() const { return pause_requested_; }
  void request_reset() { reset(); }
  // Called on any thread, perhaps with the device lock held. Before run().
  void on_event(std::function<void(MachineEvent)> callback) {
    event_callbacks_.push_back(std::move(callback));
  }
  // From any thread: runs `job` soon on the vCPU's thread, between two runs of the vCPU. One that
  // is posted while the machine ends may not run.
  void post(std::function<void()> job);
  // How long the vCPU has waited, halted, so far. The vCPU's thread.
  std::int64_t idle_ns() const { return idle_ns_; }

  // Further sources for the event loop, before run().
  EventLoop& loop() { return loop_; }
  // The guest came to a debug point and is paused. On the vCPU's thread.
  void on_debug_stop(std::function<void()> callback) { debug_stop_ = std::move(callback); }
  guest::PhysicalMemory& memory() { return *memory_; }
  const MachineConfig& config() const { return config_; }
  // The board that is there now; only with the devices locked.
  Board& board() { return *board_; }
  std::unique_lock<DeviceMutex> lock_devices() { return std::unique_lock(mutex_); }
  Vcpu& vcpu() { return *vcpu_; }
  std::string statistics() const { return vcpu_->statistics(); }

 private:
  class Attention;
  class SerialEnd;
  // For channels that only go out.
  class NoInput final : public CharacterReceiver {
    std::size_t offer(std::span<const std::uint8_t> bytes) override { return bytes.size(); }
    void send_break() override {}
  };
  enum class Request { kReset = 1, kPowerOff = 2, kTripleFault = 4, kJob = 8 };

  explicit Machine(MachineConfig config);
  tl::expected<void, std::string> build(Accelerator& accelerator);
  tl::expected<void, std::string> power_on();
  void connect_memory();
  void place_firmware(std::span<const std::uint8_t> image);

  // The vCPU's thread.
  void serve_requests();
  void run_jobs();
  void forget_disk_requests();
  void wait_while_halted(std::uint64_t seen);
  void wait_while_paused();
  void restart_or_exit(bool triple_fault);
  void wait_for_output();
  void finish();

  // The event loop's thread.
  void serve_events();
  void deadline_moved();

  void request(Request what);
  void tell(MachineEvent event);
  void wake();

  // guest::Platform
  std::uint32_t port_read(std::uint16_t port, unsigned size) override;
  void port_write(std::uint16_t port, unsigned size, std::uint32_t value) override;
  bool interrupt_pending() override;
  std::optional<std::uint8_t> acknowledge_interrupt() override;
  std::uint8_t task_priority() override;
  void set_task_priority(std::uint8_t cr8) override;
  std::optional<std::uint64_t> apic_msr_read(std::uint32_t index) override;
  bool apic_msr_write(std::uint32_t index, std::uint64_t value) override;
  std::uint32_t apic_id() override;
  void tsc_changed() override;
  Time time() override;
  std::uint64_t stolen_ns() override;
  bool a20_open() const override;
  void raise_ferr() override;
  void triple_fault() override;

  // devices::PowerControl and devices::CpuSignals, with the device lock held.
  void reset() override;
  void power_off() override;
  void exit(int status) override;
  void nmi() override;
  void smi() override {}  // there is no system management mode
  void init() override;
  void startup(std::uint8_t) override {}  // for processors that wait for it; this one never does

  MachineConfig config_;
  mutable DeviceMutex mutex_;
  std::condition_variable_any changed_;
  devices::MonotonicTime host_time_;
  RunDelay run_delay_;  // the vCPU's thread's
  devices::TimerQueue timers_;
  MachineTsc tsc_;
  EventLoop loop_;
  std::unique_ptr<guest::PhysicalMemory> memory_;
  std::unique_ptr<Attention> attention_;
  unsigned mmio_depth_ = 0;
  LockedMmio pci_window_, chipset_window_, testdev_window_, vga_window_, flash_window_;
  std::unique_ptr<devices::Flash> flash_;  // keeps what it holds through resets
  std::unique_ptr<Vcpu> vcpu_;             // goes before the memory that it watches
  std::unique_ptr<Board> board_;
  std::vector<std::unique_ptr<SerialEnd>> serial_ends_;
  NoInput no_input_;
  std::vector<std::function<void(MachineEvent)>> event_callbacks_;
  std::function<void()> debug_stop_;

  // Guarded by mutex_, except where a vCPU only peeks.
  std::uint64_t wakeups_ = 0;
  std::vector<std::function<void()>> jobs_;
  std::atomic<unsigned> requests_{0};
  std::atomic<bool> pause_requested_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> finished_{false};
  int exit_status_ = 0;
  std::int64_t idle_ns_ = 0;
  std::int64_t loop_sleeps_until_ = 0;  // guest time; while the loop is awake, the past
};

}  // namespace ringshift::runtime
