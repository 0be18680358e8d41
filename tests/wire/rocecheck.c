// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * rocecheck FILE.pcap: judges every RoCEv2 packet of a capture
 *
 * Prints "kind OPCODE COUNT NAME" for each opcode seen, "aeth SYNDROME COUNT"
 * for kinds of acknowledgements, "tos TOS COUNT", "bad FRAME: why" for packets
 * that are wrong, and last "total N bad M". --hex N prints the first N of
 * every opcode.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "roce.h"

#define LINK_ETHERNET 1
#define SNAP 262144

struct counts {
	unsigned long opcode[256];
	unsigned long syndrome[256];
	unsigned long tos[256];
	unsigned long total;
	unsigned long bad;
	unsigned long csum_bad;
};

static unsigned long hex;

static void dump(const uint8_t *ip, size_t len, uint8_t opcode)
{
	size_t i;

	printf("hex 0x%02x ", opcode);
	for (i = 0; i < len; i++)
		printf("%02x", ip[i]);
	printf("\n");
}

static void judge(const uint8_t *frame, size_t len, unsigned long number,
		  struct counts *counts)
{
	enum roce_verdict verdict;
	struct roce_pkt pkt;
	size_t off = 12;

	while (len > off + 4 && frame[off] == 0x81 && frame[off + 1] == 0)
		off += 4; /* VLAN */
	off += 2;
	if (len < off + 20)
		return;
	verdict = roce_parse(frame + off, len - off, &pkt);
	if (verdict == ROCE_FOREIGN)
		return;
	counts->total++;
	counts->opcode[pkt.opcode]++;
	if (verdict != ROCE_GOOD) {
		counts->bad++;
		printf("bad %lu: opcode 0x%02x, %zu bytes: %s\n", number,
		       pkt.opcode, len - off, roce_verdict_names[verdict]);
		return;
	}
	if (!roce_udp_csum_good(frame + off, len - off)) {
		counts->csum_bad++;
		printf("bad %lu: opcode 0x%02x: UDP checksum\n", number,
		       pkt.opcode);
	}
	counts->tos[pkt.tos]++;
	if (roce_op(pkt.opcode)->ext & ROCE_AETH)
		counts->syndrome[pkt.syndrome]++;
	if (counts->opcode[pkt.opcode] <= hex)
		dump(frame + off, len - off, pkt.opcode);
}

static bool read_capture(FILE *file, struct counts *counts)
{
	static uint8_t frame[SNAP];
	uint32_t head[6], rec[4];
	unsigned long number = 0;

	if (fread(head, sizeof(head), 1, file) != 1 ||
	    (head[0] != 0xa1b2c3d4 && head[0] != 0xa1b23c4d) ||
	    head[5] != LINK_ETHERNET)
		return false;
	while (fread(rec, sizeof(rec), 1, file) == 1) {
		if (rec[2] > SNAP || fread(frame, 1, rec[2], file) != rec[2])
			return false;
		judge(frame, rec[2], ++number, counts);
	}
	return true;
}

int main(int argc, char **argv)
{
	static const char *const families[] = { "RC", "UC", "RD", "UD",
						"", "XRC", "?", "?" };
	struct counts counts = { 0 };
	const struct roce_op *op;
	FILE *file;
	int i;

	if (argc == 4 && !strcmp(argv[1], "--hex"))
		hex = strtoul(argv[2], NULL, 0);
	else if (argc != 2)
		return 2;
	file = fopen(argv[argc - 1], "rb");
	if (!file || !read_capture(file, &counts)) {
		fprintf(stderr, "%s: not a pcap file of Ethernet\n",
			argv[argc - 1]);
		return 2;
	}
	for (i = 0; i < 256; i++) {
		op = roce_op(i);
		if (counts.opcode[i])
			printf("kind 0x%02x %lu %s %s\n", i, counts.opcode[i],
			       families[i >> 5],
			       op->name ? op->name : "(reserved)");
	}
	for (i = 0; i < 256; i++)
		if (counts.syndrome[i])
			printf("aeth 0x%02x %lu\n", i, counts.syndrome[i]);
	for (i = 0; i < 256; i++)
		if (counts.tos[i])
			printf("tos 0x%02x %lu\n", i, counts.tos[i]);
	printf("total %lu bad %lu\n", counts.total,
	       counts.bad + counts.csum_bad);
	return counts.bad + counts.csum_bad ? 1 : 0;
}
