// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * An i386 process, run by verbs.procs, that registers all of its memory on
 * demand in a PD it is given. No library of that architecture is needed: the
 * commands are made by hand.
 *
 * Descriptor 3 is the uverbs file. 4 is a socket: it takes the handle of the
 * PD, gives struct answer, and ends the process when it is closed.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum {
	SYS_EXIT = 1,
	SYS_READ = 3,
	SYS_WRITE = 4,
	SYS_IOCTL = 54,
	SYS_PERSONALITY = 136,
};

enum { UVERBS = 3, SOCKET = 4 };

/* rdma/ib_user_ioctl_cmds.h, rdma/rdma_user_ioctl_cmds.h */
#define VERBS_IOCTL 0xc0181b01
#define ATTR_MANDATORY 1
enum { CORE_IN, CORE_OUT, WRITE_CMD };

struct attr {
	u16 id;
	u16 len;
	u16 flags;
	u16 reserved;
	u64 data;
} __attribute__((packed));

struct request {
	u16 length;
	u16 object;
	u16 method;
	u16 num_attrs;
	u64 reserved1;
	u32 driver;
	u32 reserved2;
	struct attr attrs[3];
} __attribute__((packed));

/* rdma/ib_user_verbs.h: IB_USER_VERBS_CMD_REG_MR, struct ib_uverbs_reg_mr */
#define CMD_REG_MR 9
#define ACCESS_ON_DEMAND (1 << 6)
#define DRIVER_SODP 0x50444f53

struct reg_mr {
	u64 response;
	u64 start;
	u64 length;
	u64 hca_va;
	u32 pd;
	u32 access;
} __attribute__((packed));

struct answer {
	u32 ret; /* 0 or -errno */
	u32 personality;
	u32 lkey;
	u32 addr; /* of 8 bytes, "sodpi386" */
};

static char data[8] = "sodpi386";

static int call(int number, u32 a, u32 b, u32 c)
{
	int ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "0"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return ret;
}

static int reg_all(u32 pd, u32 *lkey)
{
	struct reg_mr cmd = {
		.length = -1ULL,
		.pd = pd,
		.access = ACCESS_ON_DEMAND,
	};
	u32 resp[3] = { 0 };
	struct request req = {
		.length = sizeof(req),
		.num_attrs = 3,
		.driver = DRIVER_SODP,
		.attrs = {
			{ CORE_IN, sizeof(cmd), ATTR_MANDATORY, 0,
			  (u32)&cmd },
			{ CORE_OUT, sizeof(resp), ATTR_MANDATORY, 0,
			  (u32)resp },
			{ WRITE_CMD, 8, ATTR_MANDATORY, 0, CMD_REG_MR },
		},
	};
	int ret = call(SYS_IOCTL, UVERBS, VERBS_IOCTL, (u32)&req);

	*lkey = resp[1];
	return ret;
}

void _start(void)
{
	struct answer answer = { .addr = (u32)data };
	u32 pd;

	call(SYS_READ, SOCKET, (u32)&pd, sizeof(pd));
	answer.personality = call(SYS_PERSONALITY, 0, 0, 0);
	answer.ret = reg_all(pd, &answer.lkey);
	call(SYS_WRITE, SOCKET, (u32)&answer, sizeof(answer));
	call(SYS_READ, SOCKET, (u32)&pd, sizeof(pd));
	call(SYS_EXIT, 0, 0, 0);
	for (;;)
		;
}
