// devices/uart_16550.h - the 16550A serial port: FIFOs, interrupt identification, modem lines,
// loopback. Owns its registers and FIFO; bytes leave through a CharacterSink at once (the
// transmitter is always idle), bytes come in through receive(), which never takes more than the
// FIFO can hold.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "devices/byte_ports.h"
#include "devices/device.h"

namespace ringshift::devices {

class Uart16550 final : public BytePorts {
 public:
  struct ModemInputs {
    bool clear_to_send = true, data_set_ready = true, ring = false, carrier = true;
  };

  Uart16550(TimerService& timers, Line& interrupt, CharacterSink& output);

  void reset();

  // Takes the first bytes of `bytes`, as many as there is room for, and returns how many.
  std::size_t receive(std::span<const std::uint8_t> bytes);
  // How many bytes receive() would take now.
  std::size_t receive_room() const;
  // Called when the guest has emptied the receiver, so that the source may offer more.
  void on_receive_ready(std::function<void()> callback) { receive_ready_ = std::move(callback); }

  void receive_break();
  void set_modem_inputs(ModemInputs inputs);

  // Programmed line speed, for the user's eyes.
  unsigned baud() const;

 private:
  static constexpr std::size_t kFifoBytes = 16;
  struct Received {
    std::uint8_t data = 0;
    std::uint8_t errors = 0;  // LSR bits that belong to this character
  };

  std::uint8_t read_byte(std::uint16_t offset) override;
  void write_byte(std::uint16_t offset, std::uint8_t value) override;

  std::uint8_t read_receiver();
  std::uint8_t read_identification();
  std::uint8_t read_line_status();
  std::uint8_t read_modem_status();
  void write_transmitter(std::uint8_t value);
  void write_interrupt_enable(std::uint8_t value);
  void write_fifo_control(std::uint8_t value);
  void write_modem_control(std::uint8_t value);

  bool fifo_enabled() const { return fifo_control_ & 1; }
  bool divisor_access() const { return line_control_ & 0x80; }
  bool loopback() const { return modem_control_ & 0x10; }
  std::size_t capacity() const { return fifo_enabled() ? kFifoBytes : 1; }
  std::size_t trigger_level() const;
  std::int64_t timeout_ns() const;

  void push(Received character);
  void clear_receiver();
  void restart_timeout();
  void on_timeout();
  void refresh_modem_status();
  std::uint8_t identification() const;
  void update_interrupt();
  void offer_room();

  Line& interrupt_;
  CharacterSink& output_;
  std::function<void()> receive_ready_;

  std::array<Received, kFifoBytes> fifo_{};
  std::size_t head_ = 0, count_ = 0;
  std::uint16_t divisor_ = 12;
  std::uint8_t interrupt_enable_ = 0, fifo_control_ = 0, line_control_ = 0, modem_control_ = 0;
  std::uint8_t line_errors_ = 0, modem_status_ = 0, scratch_ = 0, last_received_ = 0;
  ModemInputs inputs_;
  bool transmit_interrupt_ = false;
  bool timed_out_ = false;
  Clock& clock_;
  std::unique_ptr<Timer> timeout_;
};

}  // namespace ringshift::devices
