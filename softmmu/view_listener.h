// softmmu/view_listener.h - who derives more from the page tables than a view's TLB holds (host-MMU
// windows) and has to drop it at the same moments. Called on the vCPU's thread, possibly while the
// guest's SIMD state is in the host's registers. A listener may drop more than it is told.
#pragma once

#include "guest/address.h"

namespace ringshift::softmmu {

class View;

class ViewListener {
 public:
  // View::flush() and View::flush_page() of this view.
  virtual void flushed(View& view, bool keep_global) = 0;
  virtual void flushed_page(View& view, guest::LinearAddress a) = 0;
  // The frame became watched: nothing may map it writable, in no view.
  virtual void became_watched(guest::PhysicalAddress page) = 0;

 protected:
  ~ViewListener() = default;
};

}  // namespace ringshift::softmmu
