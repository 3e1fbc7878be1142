//! What schedulers see: servers, and the list of them.

/// Connections of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// In the active states.
    pub active: u32,
    /// In all others.
    pub inactive: u32,
}

/// A server as a scheduler sees it.
pub trait Server {
    /// How the caller knows it.
    fn id(&self) -> u32;
    /// Its weight; 0 gets nothing.
    fn weight(&self) -> u32;
    /// Its connections. Asked for only by schedulers that need it: it costs a look-up.
    fn load(&self) -> Load;
    /// Whether its upper threshold was reached and it has not come down yet (the kernel's
    /// `IP_VS_DEST_F_OVERLOAD`; [`crate::overload`] has the rule). Apart from the weight, since the
    /// kernel's lblc and lblcr look at the one without the other. Asked for after the weight.
    #[inline(always)]
    fn overloaded(&self) -> bool {
        false
    }
    /// [`Server::load`], and the weight with [`Server::overloaded`]: 0 then. For who needs all of
    /// it, so that one look-up is enough, and no branch. None ends the walk: nothing is known.
    #[inline(always)]
    fn load_and_weight(&self) -> Option<(Load, u32)> {
        let open = u32::from(self.overloaded()).wrapping_sub(1);
        Some((self.load(), self.weight() & open))
    }
}

/// Whether a new connection may go there.
#[inline(always)]
pub(crate) fn may<S: Server>(server: &S) -> bool {
    server.weight() > 0 && !server.overloaded()
}

/// `ip_vs_dest_conn_overhead`: (activeconns << 8) + totalconns.
#[inline(always)]
pub(crate) fn overhead(load: Load) -> i64 {
    i64::from(load.active) * 257 + i64::from(load.inactive)
}

/// Servers of a list that are worth a loop without calls. The kernel's verifier walks each round.
pub const FEW: u32 = 16;

/// The body of a loop over servers. A value with a method, not a closure with borrows: the kernel's
/// `bpf_loop` hands its callback one pointer.
pub trait Visit {
    /// Looks at the whole list nearly always, and at little of each server: worth a loop without
    /// calls.
    const WHOLE: bool = false;
    /// With [`Visit::WHOLE`]: asked for lists of at most [`FEW`] alone.
    const FEW: bool = false;

    /// Looks at the server at `position` of the list; false stops the loop.
    fn visit<S: Server>(&mut self, position: u32, server: &S) -> bool;
}

/// The servers of a service, the one added last first.
pub trait Destinations {
    /// How many there are.
    fn count(&self) -> u32;
    /// Shows `visitor` each server once, from position `start` on and wrapping, until it says no.
    fn scan<V: Visit>(&self, start: u32, visitor: V) -> V;
    /// What wrr needs to know of all weights.
    fn weights(&self) -> Weights;
}

/// What wrr needs to know of all weights: see [`Weights::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Their greatest common divisor; 1 if all are 0.
    pub divisor: u32,
    /// The greatest, less (divisor - 1); 0 if all are 0.
    pub max: u32,
}

impl Weights {
    /// Of these weights (`ip_vs_wrr_gcd_weight`, `ip_vs_wrr_max_weight`).
    pub fn of(weights: impl IntoIterator<Item = u32>) -> Self {
        let (mut divisor, mut max) = (0, 0);
        for w in weights {
            if w > 0 {
                divisor = gcd(divisor, w);
                max = max.max(w);
            }
        }
        let divisor = divisor.max(1);
        Self { divisor, max: if max == 0 { 0 } else { max - (divisor - 1) } }
    }
}

pub(crate) const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A server, and what to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// [`Server::id`], or [`NOBODY`].
    pub id: u32,
    /// The next call's `state`. Equal to this call's: nothing to remember.
    pub state: u64,
}

/// In the place of [`Server::id`]: no server may have the connection.
pub const NOBODY: u32 = u32::MAX;
