// runtime/profile/block_listing.h - the code of blocks: listings of both sides, where the samples
// fall in them, what leads where, and which instructions they are made of.
#pragma once

#include "runtime/profile/profile.h"
#include "runtime/profile/recording.h"
#include "translator/disassembly.h"

namespace ringshift::runtime::profile {

// Without names and listings; the samples lie in host lines of one byte each until it is listed.
BlockShare block_share(const BlockRecord& record);
// Lists all blocks (again, in another syntax: samples stay where they are) and finds their edges.
// What `names` says of the first listing is kept by later ones.
void list_blocks(Profile& profile, translator::Syntax syntax,
                 const translator::AddressNames& names = {});
// Profile::mix, and how often sensitive instructions ran where runs are counted.
void count_instructions(const Recording& recording, Profile& profile);

}  // namespace ringshift::runtime::profile
