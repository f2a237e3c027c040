/**
 * Numbers of io_uring (`include/uapi/linux/io_uring.h`) and of sockets, and the names of our operations. `Ring` uses
 * them.
 */

export const OP_POLL_ADD = 6;
export const OP_ACCEPT = 13;
export const OP_ASYNC_CANCEL = 14;
export const OP_SEND = 26;
export const OP_RECV = 27;
export const SQE_BUFFER_SELECT = 1 << 5;
export const SQE_SKIP_SUCCESS = 1 << 6;
export const ACCEPT_MULTISHOT = 1;
/** The kernel waits for bytes first, and doesn't try in vain. */
export const RECV_POLL_FIRST = 1;
export const RECV_MULTISHOT = 1 << 1;
export const CQE_BUFFER = 1;
export const CQE_MORE = 1 << 1;
export const MSG_DONTWAIT = 0x40;
export const MSG_WAITALL = 0x100;
export const MSG_NOSIGNAL = 0x4000;
/** The kernel may keep the last bytes back until more follow, or the end. */
export const MSG_MORE = 0x8000;
/** Flag of the completion queue: the eventfd is left alone. */
export const CQ_EVENTFD_DISABLED = 1;
export const SOCK_CLOEXEC = 0x80000;
export const POLLOUT = 4;

/** Kinds of operations, the lower bits of the name of an operation. The slot's number is above them. */
export const kinds = { receive: 0, send: 1, poll: 2, accept: 3, cancel: 4 } as const;
export const KIND_BITS = 3;
export const KIND_MASK = (1 << KIND_BITS) - 1;

/** Error numbers that completions have, as negative results. */
export const errors = {
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  EBUSY: 16,
  ENFILE: 23,
  EMFILE: 24,
  ENOBUFS: 105,
  ECANCELED: 125,
} as const;
