// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * stats.c - domains: counters, latency histogram, fault model
 */

#include <linux/delay.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wait_bit.h>

#include "core.h"

/* A model may be set to seconds; one fault is never held for longer */
#define FAULT_MODEL_MAX_NS	(5ULL * NSEC_PER_SEC)

/**
 * odp_domain_create() - what the regions of one device share
 * @name: of the device, for messages
 * @device: of hardware, copied; NULL: the CPU is the device
 *
 * Context: May sleep.
 * Return: a domain; ERR_PTR(-ENOMEM); of hardware also -EINVAL, an operation
 * is missing, and -EOPNOTSUPP: the device does not reach all memory, or sees it
 * by a copy only (swiotlb), or not as the CPU does. Nothing could keep such a
 * copy in step.
 */
struct odp_domain *odp_domain_create(const char *name,
				     const struct odp_device *device)
{
	struct odp_domain *domain;
	int ret;

	ret = device ? odp_device_check(device) : 0;
	if (ret)
		return ERR_PTR(ret);
	domain = kzalloc(sizeof(*domain), GFP_KERNEL);
	if (!domain)
		return ERR_PTR(-ENOMEM);
	domain->stats = alloc_percpu(struct odp_stats);
	if (!domain->stats) {
		kfree(domain);
		return ERR_PTR(-ENOMEM);
	}
	if (device)
		domain->device = *device;
	refcount_set(&domain->refs, 1);
	strscpy(domain->name, name, sizeof(domain->name));
	return domain;
}
EXPORT_SYMBOL_GPL(odp_domain_create);

/**
 * odp_domain_put() - drop a reference
 * @domain: may be gone afterwards
 *
 * Context: Any.
 */
void odp_domain_put(struct odp_domain *domain)
{
	if (!refcount_dec_and_test(&domain->refs))
		return;
	free_percpu(domain->stats);
	kfree(domain);
}

/**
 * odp_domain_destroy() - the driver is done with a domain
 * @domain: all of its regions are destroyed, and the driver's references to
 *	spaces put
 *
 * The domain stays while somebody has references to some region. Of hardware
 * it waits for those, and when it returns no page is mapped for the device any
 * more, and no operation of the driver is called.
 *
 * Context: Any; of hardware it may sleep, with nothing held.
 */
void odp_domain_destroy(struct odp_domain *domain)
{
	/* Pairs with atomic_dec_and_test() in space_free() */
	if (domain->device.dev)
		wait_var_event(&domain->spaces,
			       !atomic_read(&domain->spaces));
	odp_domain_put(domain);
}
EXPORT_SYMBOL_GPL(odp_domain_destroy);

/**
 * odp_domain_stats() - the sum of the counters of all regions, past included
 * @domain: which
 * @stats: filled
 *
 * Context: Any.
 */
void odp_domain_stats(struct odp_domain *domain, struct odp_stats *stats)
{
	u64 *sum = (u64 *)stats;
	const u64 *part;
	unsigned int i;
	int cpu;

	memset(stats, 0, sizeof(*stats));
	for_each_possible_cpu(cpu) {
		part = (const u64 *)per_cpu_ptr(domain->stats, cpu);
		for (i = 0; i < sizeof(*stats) / sizeof(*sum); i++)
			sum[i] += READ_ONCE(part[i]);
	}
}
EXPORT_SYMBOL_GPL(odp_domain_stats);

/**
 * odp_domain_fault_bucket() - one column of the fault latency histogram
 * @domain: which
 * @i: column: faults of [2^i, 2^(i+1)) us, the first and the last open-ended
 *
 * Context: Any.
 * Return: faults counted, 0 if there is no such column.
 */
u64 odp_domain_fault_bucket(struct odp_domain *domain, unsigned int i)
{
	if (i >= ODP_FAULT_BUCKETS)
		return 0;
	return atomic64_read(&domain->fault_buckets[i]);
}
EXPORT_SYMBOL_GPL(odp_domain_fault_bucket);

/**
 * odp_stats_latency() - count one fault in the histogram
 * @domain: where
 * @ns: how long it took
 *
 * Context: Any.
 */
void odp_stats_latency(struct odp_domain *domain, u64 ns)
{
	u64 us = div_u64(ns, NSEC_PER_USEC);
	unsigned int i = us ? ilog2(us) : 0;

	atomic64_inc(&domain->fault_buckets[min(i, ODP_FAULT_BUCKETS - 1U)]);
}

/**
 * odp_domain_set_fault_model() - make faults slower, from now on
 * @domain: where
 * @model: how; all zero for no delay
 *
 * Context: Any.
 */
void odp_domain_set_fault_model(struct odp_domain *domain,
				const struct odp_fault_model *model)
{
	/* Pair with READ_ONCE in odp_domain_get_fault_model() */
	WRITE_ONCE(domain->fault_model.fixed_ns, model->fixed_ns);
	WRITE_ONCE(domain->fault_model.per_page_ns, model->per_page_ns);
	WRITE_ONCE(domain->fault_model.jitter_ns, model->jitter_ns);
}
EXPORT_SYMBOL_GPL(odp_domain_set_fault_model);

/**
 * odp_domain_get_fault_model() - what was set
 * @domain: where
 * @model: filled
 *
 * Context: Any.
 */
void odp_domain_get_fault_model(struct odp_domain *domain,
				struct odp_fault_model *model)
{
	/* Pair with WRITE_ONCE in odp_domain_set_fault_model() */
	model->fixed_ns = READ_ONCE(domain->fault_model.fixed_ns);
	model->per_page_ns = READ_ONCE(domain->fault_model.per_page_ns);
	model->jitter_ns = READ_ONCE(domain->fault_model.jitter_ns);
}
EXPORT_SYMBOL_GPL(odp_domain_get_fault_model);

/**
 * odp_fault_model_on() - are faults delayed
 * @domain: where
 *
 * Context: Any.
 * Return: true if so.
 */
bool odp_fault_model_on(struct odp_domain *domain)
{
	struct odp_fault_model model;

	odp_domain_get_fault_model(domain, &model);
	return model.fixed_ns || model.per_page_ns || model.jitter_ns;
}

/**
 * odp_fault_model_delay() - wait as long as a NIC would
 * @domain: where
 * @pages: that the fault mapped
 *
 * Context: May sleep. Not in the region: odp_region_destroy() does not wait
 * for a delay.
 */
void odp_fault_model_delay(struct odp_domain *domain, unsigned long pages)
{
	struct odp_fault_model model;
	u64 ns;

	odp_domain_get_fault_model(domain, &model);
	ns = model.fixed_ns + (u64)model.per_page_ns * pages;
	if (model.jitter_ns)
		ns += get_random_u32() % model.jitter_ns;
	ns = min(ns, FAULT_MODEL_MAX_NS);
	if (ns < 10 * NSEC_PER_USEC)
		ndelay(ns);
	else
		fsleep(div_u64(ns, NSEC_PER_USEC));
}
