//go:build ibverbs

#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

int tutti_ports(struct ibv_context *context)
{
	struct ibv_device_attr attr;
	int rc = ibv_query_device(context, &attr);
	return rc ? -rc : attr.phys_port_cnt;
}

int tutti_query_port(struct ibv_context *context, int port, struct tutti_port *out)
{
	struct ibv_device_attr device;
	struct ibv_port_attr attr;
	int rc = ibv_query_device(context, &device);
	if (!rc)
		rc = ibv_query_port(context, port, &attr);
	if (rc)
		return -rc;
	*out = (struct tutti_port){
		.state = attr.state, .active_mtu = attr.active_mtu, .max_msg_sz = attr.max_msg_sz,
		.lid = attr.lid, .link_layer = attr.link_layer, .max_cqe = device.max_cqe,
		.max_qp_wr = device.max_qp_wr, .max_qp_rd_atom = device.max_qp_rd_atom,
	};
	return 0;
}

int tutti_gids(struct ibv_context *context, struct tutti_gid out[TUTTI_GIDS])
{
	struct ibv_gid_entry entries[TUTTI_GIDS];
	ssize_t n = ibv_query_gid_table(context, entries, TUTTI_GIDS, 0);
	for (ssize_t i = 0; i < n; i++) {
		memcpy(out[i].raw, entries[i].gid.raw, 16);
		out[i].index = entries[i].gid_index;
		out[i].port = entries[i].port_num;
		out[i].type = entries[i].gid_type;
		out[i].interface = entries[i].ndev_ifindex;
	}
	return n;
}

int tutti_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* A queue pair with as much inline room as the device gives, up to what is asked for. */
struct ibv_qp *tutti_create(struct ibv_pd *pd, struct ibv_cq *cq, int sends, int receives,
			    uint32_t *inline_bytes)
{
	for (;;) {
		struct ibv_qp_init_attr attr = {
			.send_cq = cq, .recv_cq = cq, .qp_type = IBV_QPT_RC,
			.cap = {
				.max_send_wr = sends, .max_recv_wr = receives,
				.max_send_sge = TUTTI_PIECES, .max_recv_sge = 1,
				.max_inline_data = *inline_bytes,
			},
		};
		struct ibv_qp *qp = ibv_create_qp(pd, &attr);
		if (qp || !*inline_bytes) {
			if (qp && attr.cap.max_inline_data < *inline_bytes)
				*inline_bytes = attr.cap.max_inline_data;
			return qp;
		}
		*inline_bytes /= 2;
		if (*inline_bytes < 64)
			*inline_bytes = 0;
	}
}

int tutti_init(struct ibv_qp *qp, int port)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT, .port_num = port,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE,
	};
	return -ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
					 IBV_QP_ACCESS_FLAGS);
}

int tutti_connect(struct ibv_qp *qp, const struct tutti_path *path)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR, .path_mtu = path->mtu, .dest_qp_num = path->qp,
		.rq_psn = path->psn, .max_dest_rd_atomic = path->reads, .min_rnr_timer = 12,
		.ah_attr = {.dlid = path->lid, .port_num = path->port},
	};
	if (path->global) {
		attr.ah_attr.is_global = 1;
		attr.ah_attr.grh.sgid_index = path->gid_index;
		attr.ah_attr.grh.hop_limit = 64;
		memcpy(attr.ah_attr.grh.dgid.raw, path->gid, 16);
	}
	int rc = ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
					  IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
					  IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
	if (rc)
		return -rc;
	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS, .sq_psn = path->own_psn, .timeout = path->timeout,
		.retry_cnt = path->retries, .rnr_retry = path->patience, .max_rd_atomic = path->reads,
	};
	return -ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
					 IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
					 IBV_QP_MAX_QP_RD_ATOMIC);
}

struct ibv_mr *tutti_register(struct ibv_pd *pd, uint64_t address, uint64_t bytes, int access)
{
	return ibv_reg_mr(pd, (void *)(uintptr_t)address, bytes, access);
}

int tutti_post_send(struct ibv_qp *qp, const struct tutti_send *sends, int n)
{
	struct ibv_send_wr work[TUTTI_BATCH], *bad;
	struct ibv_sge pieces[TUTTI_BATCH][TUTTI_PIECES];
	if (n <= 0 || n > TUTTI_BATCH)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		const struct tutti_send *s = &sends[i];
		for (uint32_t k = 0; k < s->pieces; k++)
			pieces[i][k] = (struct ibv_sge){s->address[k], s->length[k], s->lkey[k]};
		work[i] = (struct ibv_send_wr){
			.wr_id = s->id, .next = i + 1 < n ? &work[i + 1] : NULL,
			.sg_list = pieces[i], .num_sge = s->pieces, .opcode = s->opcode,
			.send_flags = s->flags, .imm_data = htonl(s->immediate),
			.wr.rdma = {.remote_addr = s->remote, .rkey = s->rkey},
		};
	}
	return -ibv_post_send(qp, work, &bad);
}

/* Receives without memory: what arrives is an immediate, the bytes are elsewhere. */
int tutti_post_receive(struct ibv_qp *qp, uint64_t id, int n)
{
	struct ibv_recv_wr work[TUTTI_BATCH], *bad;
	while (n > 0) {
		int k = n < TUTTI_BATCH ? n : TUTTI_BATCH;
		for (int i = 0; i < k; i++)
			work[i] = (struct ibv_recv_wr){
				.wr_id = id, .next = i + 1 < k ? &work[i + 1] : NULL,
			};
		int rc = ibv_post_recv(qp, work, &bad);
		if (rc)
			return -rc;
		n -= k;
	}
	return 0;
}

int tutti_poll(struct ibv_cq *cq, struct tutti_done *out)
{
	struct ibv_wc done[TUTTI_BATCH];
	int n = ibv_poll_cq(cq, TUTTI_BATCH, done);
	for (int i = 0; i < n; i++)
		out[i] = (struct tutti_done){
			.id = done[i].wr_id, .status = done[i].status,
			.says = !!(done[i].wc_flags & IBV_WC_WITH_IMM),
			.immediate = ntohl(done[i].imm_data), .vendor = done[i].vendor_err,
		};
	return n;
}

int tutti_arm(struct ibv_cq *cq)
{
	return -ibv_req_notify_cq(cq, 0);
}

/* Takes what the channel has to say: an event, as it is armed for one, and returns how many. */
int tutti_events(struct ibv_comp_channel *channel)
{
	struct ibv_cq *cq;
	void *context;
	if (ibv_get_cq_event(channel, &cq, &context))
		return 0;
	ibv_ack_cq_events(cq, 1);
	return 1;
}

/* Takes one event of the device: its type, or -EAGAIN when there is none. */
int tutti_async(struct ibv_context *context, uint32_t *qp, uint32_t *port)
{
	struct ibv_async_event event;
	if (ibv_get_async_event(context, &event))
		return errno ? -errno : -EAGAIN;
	*qp = *port = 0;
	switch (event.event_type) {
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
	case IBV_EVENT_COMM_EST:
	case IBV_EVENT_SQ_DRAINED:
	case IBV_EVENT_PATH_MIG:
	case IBV_EVENT_PATH_MIG_ERR:
	case IBV_EVENT_QP_LAST_WQE_REACHED:
		*qp = event.element.qp->qp_num;
		break;
	case IBV_EVENT_PORT_ACTIVE:
	case IBV_EVENT_PORT_ERR:
	case IBV_EVENT_LID_CHANGE:
	case IBV_EVENT_PKEY_CHANGE:
	case IBV_EVENT_SM_CHANGE:
	case IBV_EVENT_CLIENT_REREGISTER:
	case IBV_EVENT_GID_CHANGE:
		*port = event.element.port_num;
		break;
	default:
		break;
	}
	int type = event.event_type;
	ibv_ack_async_event(&event);
	return type;
}
