/*
 * The lowest cost on the machine: a WebSocket server in one thread over epoll, with no library. The server accepts any
 * handshake and returns each frame unmasked; in the mode "fanout" it sends the frames to all other connections, of
 * whatever path. It checks nothing, ends a connection after a close frame, and supports messages of up to 256 KiB in one
 * frame.
 *
 *     cc -O2 -o epoll epoll.c && ./epoll --port P [--mode echo|fanout]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT_BYTES = 1 << 18, LONGEST_FRAME = 14 + (1 << 18), MOST_CONNECTIONS = 1 << 16, CLOSE = 8 };

/* A connection. `rest` keeps the start of a frame between two reads. */
struct connection {
  int fd;
  int index;
  int upgraded;
  uint8_t *rest;
  size_t rest_bytes;
};

static uint32_t rotate(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

/* SHA-1 (RFC 3174) of a message of up to 119 bytes. */
static void sha1(const char *message, size_t length, uint8_t digest[20]) {
  uint8_t blocks[128] = {0};
  size_t total = length < 56 ? 64 : 128;
  uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  memcpy(blocks, message, length);
  blocks[length] = 0x80;
  blocks[total - 2] = (uint8_t)(length * 8 >> 8);
  blocks[total - 1] = (uint8_t)(length * 8);
  for (size_t block = 0; block < total; block += 64) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++) {
      const uint8_t *word = blocks + block + 4 * i;
      w[i] = (uint32_t)word[0] << 24 | word[1] << 16 | word[2] << 8 | word[3];
    }
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
      uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                   : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                   : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                            : (b ^ c ^ d) + 0xca62c1d6;
      uint32_t next = rotate(a, 5) + f + e + w[i];
      e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
  }
  for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const uint8_t digest[20], char text[29]) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int i = 0, at = 0; i < 20; i += 3) {
    uint32_t group = (uint32_t)digest[i] << 16 | digest[i + 1] << 8 | (i + 2 < 20 ? digest[i + 2] : 0);
    for (int shift = 18; shift >= 0; shift -= 6) text[at++] = digits[group >> shift & 63];
  }
  text[27] = '=';
  text[28] = 0;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static struct connection *members[MOST_CONNECTIONS];
static int member_count, fans_out;

static void drop(struct connection *connection) {
  close(connection->fd);
  members[connection->index] = members[--member_count];
  members[connection->index]->index = connection->index;
  free(connection->rest);
  free(connection);
}

/* Writes all bytes, and waits for a peer that reads slowly. A load always reads its replies. */
static int write_all(int fd, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t written = send(fd, bytes, length, MSG_NOSIGNAL);
    if (written < 0 && errno == EAGAIN) continue;
    if (written < 0) return -1;
    bytes += written;
    length -= (size_t)written;
  }
  return 0;
}

static int upgrade(struct connection *connection, char *request) {
  static const char name[] = "sec-websocket-key:";
  char key[64], source[128], accept[29], answer[256];
  uint8_t digest[20];
  for (char *line = strtok(request, "\r\n"); line; line = strtok(NULL, "\r\n")) {
    if (strncasecmp(line, name, sizeof name - 1) || sscanf(line + sizeof name - 1, "%63s", key) != 1) continue;
    snprintf(source, sizeof source, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(source, strlen(source), digest);
    base64(digest, accept);
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n\r\n",
                          accept);
    connection->upgraded = 1;
    return write_all(connection->fd, (uint8_t *)answer, (size_t)length);
  }
  return -1;
}

/*
 * Unmasks all whole frames in place and moves them together. Returns the number of bytes read, and stores the number of
 * bytes to be written in `written`, and in `is_last` whether a close frame is among them.
 */
static size_t unmask(uint8_t *bytes, size_t length, size_t *written, int *is_last) {
  size_t read = 0;
  *written = 0;
  *is_last = 0;
  while (read + 6 <= length) {
    uint8_t *frame = bytes + read, key[8];
    size_t payload_bytes = frame[1] & 0x7f, header_bytes = payload_bytes < 126 ? 2 : payload_bytes == 126 ? 4 : 10;
    if (read + header_bytes + 4 > length) break;
    if (header_bytes > 2) payload_bytes = 0;
    for (size_t i = 2; i < header_bytes; i++) payload_bytes = payload_bytes << 8 | frame[i];
    if (read + header_bytes + 4 + payload_bytes > length) break;
    uint8_t *payload = frame + header_bytes + 4, *out = bytes + *written;
    memcpy(key, payload - 4, 4);
    memcpy(key + 4, payload - 4, 4);
    if ((frame[0] & 0xf) == CLOSE) *is_last = 1;
    frame[1] &= 0x7f;
    memmove(out, frame, header_bytes);
    out += header_bytes;
    size_t i = 0;
    for (uint64_t word, keys; i + 8 <= payload_bytes; i += 8) {
      memcpy(&word, payload + i, 8), memcpy(&keys, key, 8);
      word ^= keys;
      memcpy(out + i, &word, 8);
    }
    for (; i < payload_bytes; i++) out[i] = payload[i] ^ key[i & 3];
    *written += header_bytes + payload_bytes;
    read += header_bytes + 4 + payload_bytes;
  }
  return read;
}

static int serve(struct connection *connection) {
  static uint8_t input[INPUT_BYTES + LONGEST_FRAME + 1];
  size_t length = connection->rest_bytes, written, used;
  int is_last;
  if (length > 0) memcpy(input, connection->rest, length);
  ssize_t received = recv(connection->fd, input + length, INPUT_BYTES, 0);
  if (received <= 0) return received < 0 && errno == EAGAIN ? 0 : -1;
  length += (size_t)received;
  if (!connection->upgraded) {
    input[length] = 0;
    return upgrade(connection, (char *)input);
  }
  used = unmask(input, length, &written, &is_last);
  connection->rest_bytes = length - used;
  if (connection->rest_bytes > 0) {
    if (!connection->rest) connection->rest = malloc(LONGEST_FRAME);
    if (!connection->rest) return -1;
    memcpy(connection->rest, input + used, connection->rest_bytes);
  }
  if (written == 0) return 0;
  if (!fans_out || is_last) {
    int failed = write_all(connection->fd, input, written);
    if (is_last) shutdown(connection->fd, SHUT_WR);
    return failed;
  }
  // A receiver that is gone is dropped when its own end is read.
  for (int i = 0; i < member_count; i++) {
    if (members[i] != connection && members[i]->upgraded) write_all(members[i]->fd, input, written);
  }
  return 0;
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t address_bytes = sizeof address;
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
  struct epoll_event events[256], event = {.events = EPOLLIN, .data.ptr = NULL};
  for (int i = 1; i + 1 < argc; i++) {
    if (!strcmp(argv[i], "--port")) address.sin_port = htons((uint16_t)atoi(argv[i + 1]));
    if (!strcmp(argv[i], "--mode")) fans_out = !strcmp(argv[i + 1], "fanout");
  }
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) fail("listen");
  getsockname(listener, (struct sockaddr *)&address, &address_bytes);
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  printf("listening on %d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int ready = epoll_wait(poll, events, 256, -1);
    if (ready < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < ready; i++) {
      struct connection *connection = events[i].data.ptr;
      if (connection) {
        if (serve(connection)) drop(connection);
        continue;
      }
      for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection = calloc(1, sizeof *connection);
        if (!connection || member_count == MOST_CONNECTIONS) fail("calloc");
        connection->fd = fd;
        connection->index = member_count;
        members[member_count++] = connection;
        event.data.ptr = connection;
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
      }
    }
  }
}
