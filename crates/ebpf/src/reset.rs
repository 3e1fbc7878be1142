//! Between XDP and the stack: a client's segment for a server that was removed becomes a reset to
//! either side. By the kernel's helpers, since XDP sends no frame twice.

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_PIPE, TC_ACT_SHOT},
    helpers::generated::{
        bpf_clone_redirect, bpf_l4_csum_replace, bpf_redirect, bpf_skb_adjust_room,
        bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
    },
    macros::classifier,
    programs::TcContext,
};
use xlvs_datapath::reset::{
    Frame, Ingress, RESET_BYTES, RESET_CHECKSUM, Resets, ToServer, ingress,
};
use xlvs_wire::{Eth, Ipv4};

use crate::{
    frame::Skb,
    maps::{CPU, Maps, Program, now},
};

/// What XDP let through, before the stack sees it.
#[classifier]
pub(crate) fn reset(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    let Some(cpu) = CPU.get_ptr_mut(0) else { return TC_ACT_PIPE as i32 };
    // SAFETY: this CPU's own copy.
    let now = now(unsafe { &mut *cpu });
    let tables = Maps(Program { ctx: core::ptr::null_mut(), cpu });
    match ingress(&Skb::new(skb), &tables, now) {
        Ingress::Leave => TC_ACT_PIPE as i32,
        Ingress::Drop => TC_ACT_SHOT as i32,
        Ingress::Reset(resets) => send(skb, &tables, &resets).unwrap_or(TC_ACT_SHOT as i32),
    }
}

/// To the client by a copy, to the server by what is left of the frame. None: a helper refused.
#[inline(always)]
fn send(skb: *mut __sk_buff, tables: &Maps<Program>, resets: &Resets) -> Option<i32> {
    // SAFETY: a helper on the program's own context. It refuses where an unfinished checksum lies
    // elsewhere.
    succeeded(unsafe { bpf_skb_change_tail(skb, RESET_BYTES as u32, 0) })?;
    let unfinished = is_unfinished(skb)?;
    store(skb, &resets.to_client(unfinished), 0)?;
    // SAFETY: the kernel's context is valid for the program's run.
    let came_by = unsafe { (*skb).ifindex };
    let to_server = resets.to_server(tables, unfinished);
    if to_server == ToServer::Nowhere {
        // SAFETY: a helper on numbers.
        return Some(unsafe { bpf_redirect(came_by, 0) } as i32);
    }
    // Whether it left is nobody's to say: the client's segment comes again.
    // SAFETY: as above.
    let _ = unsafe { bpf_clone_redirect(skb, came_by, 0) };
    let ifindex = match to_server {
        ToServer::Nowhere => return None,
        ToServer::Local(frame) => {
            store(skb, &frame, 0)?;
            return Some(TC_ACT_PIPE as i32);
        }
        ToServer::Out(ifindex, frame) => {
            store(skb, &frame, 0)?;
            ifindex
        }
        ToServer::Tunnel(ifindex, frame, outer) => {
            // SAFETY: as above.
            succeeded(unsafe {
                bpf_skb_adjust_room(skb, OUTER as i32, BPF_ADJ_ROOM_MAC, KEEP_CHECKSUM)
            })?;
            store(skb, &frame, OUTER)?;
            store_longs(skb, size_of::<Eth>(), &outer)?;
            ifindex
        }
    };
    // SAFETY: a helper on numbers.
    Some(unsafe { bpf_redirect(ifindex, 0) } as i32)
}

/// Is the checksum for whoever sends the frame to finish? The kernel tells no program so, but a
/// change of what the checksum covers is then not carried into it.
#[inline(always)]
fn is_unfinished(skb: *mut __sk_buff) -> Option<bool> {
    let mut field = 0u16;
    let at = RESET_CHECKSUM as u32;
    // SAFETY: helpers on the program's own context; they check the offset, and the field is on the
    // stack.
    unsafe {
        succeeded(bpf_skb_store_bytes(skb, at, (&raw const field).cast(), 2, 0))?;
        succeeded(bpf_l4_csum_replace(skb, at, 0, 1, 2))?;
        succeeded(bpf_skb_load_bytes(skb.cast(), at, (&raw mut field).cast(), 2))?;
    }
    Some(field == 0)
}

/// Writes a reset whose IP header begins `behind` so many bytes of another.
#[inline(always)]
fn store(skb: *mut __sk_buff, frame: &Frame, behind: usize) -> Option<()> {
    let ethernet = frame.ethernet();
    // SAFETY: a helper on the program's own context, from the stack.
    succeeded(unsafe {
        bpf_skb_store_bytes(skb, 0, ethernet.as_ptr().cast(), size_of::<Eth>() as u32, 0)
    })?;
    let l3 = size_of::<Eth>() + behind;
    store_longs(skb, l3, &frame.ip)?;
    store_longs(skb, l3 + size_of::<Ipv4>(), &frame.tcp)
}

#[inline(always)]
fn store_longs(skb: *mut __sk_buff, at: usize, longs: &[u32; 5]) -> Option<()> {
    // SAFETY: as above.
    succeeded(unsafe { bpf_skb_store_bytes(skb, at as u32, longs.as_ptr().cast(), 20, 0) })
}

#[inline(always)]
fn succeeded(returned: i64) -> Option<()> {
    if returned == 0 { Some(()) } else { None }
}

/// An IP header more.
const OUTER: usize = size_of::<Ipv4>();
const BPF_ADJ_ROOM_MAC: u32 = 1;
/// `BPF_F_ADJ_ROOM_NO_CSUM_RESET`: an unfinished one stays so.
const KEEP_CHECKSUM: u64 = 1 << 5;
