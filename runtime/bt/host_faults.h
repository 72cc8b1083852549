// runtime/bt/host_faults.h - host exceptions raised by translated code become the guest's.
// One process-wide set of signal handlers, installed once; each vCPU thread says whose code it
// runs.
#pragma once

namespace ringshift::runtime {

class BtVcpu;

// The vCPU whose translated code the calling thread runs; nullptr outside run().
BtVcpu* current_vcpu();
void set_current_vcpu(BtVcpu* vcpu);
void install_host_fault_handlers();

}  // namespace ringshift::runtime
