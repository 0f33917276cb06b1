//go:build ibverbs

// What the driver asks of libibverbs, in calls that do much at once: a call from Go into C costs about
// as much as a doorbell. Structures here hold numbers alone, so that Go's memory can be passed. Every
// function returns 0 or a count, or the negative number of an error.

#ifndef TUTTI_SHIM_H
#define TUTTI_SHIM_H

#include <stdint.h>
#include <infiniband/verbs.h>

enum { TUTTI_BATCH = 32, TUTTI_PIECES = 3, TUTTI_GIDS = 1024 };

struct tutti_port {
	uint32_t state, active_mtu, max_msg_sz, lid, link_layer;
	int32_t max_cqe, max_qp_wr, max_qp_rd_atom;
};

struct tutti_gid {
	uint8_t raw[16];
	uint32_t index, port, type, interface;
};

struct tutti_send {
	uint64_t id, remote, address[TUTTI_PIECES];
	uint32_t length[TUTTI_PIECES], lkey[TUTTI_PIECES];
	uint32_t rkey, immediate, opcode, flags, pieces;
};

struct tutti_done {
	uint64_t id;
	uint32_t status, says, immediate, vendor; /* says: whether there is an immediate */
};

struct tutti_path {
	uint8_t gid[16];
	uint32_t qp, psn, mtu, lid, gid_index, port, global;
	uint32_t own_psn, timeout, retries, patience, reads;
};

int tutti_query_port(struct ibv_context *context, int port, struct tutti_port *out);
int tutti_ports(struct ibv_context *context);
int tutti_gids(struct ibv_context *context, struct tutti_gid out[TUTTI_GIDS]);

int tutti_nonblocking(int fd);
struct ibv_qp *tutti_create(struct ibv_pd *pd, struct ibv_cq *cq, int sends, int receives,
			    uint32_t *inline_bytes);
int tutti_init(struct ibv_qp *qp, int port);
int tutti_connect(struct ibv_qp *qp, const struct tutti_path *path);
struct ibv_mr *tutti_register(struct ibv_pd *pd, uint64_t address, uint64_t bytes, int access);

int tutti_post_send(struct ibv_qp *qp, const struct tutti_send *sends, int n);
int tutti_post_receive(struct ibv_qp *qp, uint64_t id, int n);
int tutti_poll(struct ibv_cq *cq, struct tutti_done *out);
int tutti_arm(struct ibv_cq *cq);
int tutti_events(struct ibv_comp_channel *channel);
int tutti_async(struct ibv_context *context, uint32_t *qp, uint32_t *port);

#endif
