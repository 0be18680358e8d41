// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Module, links and the list of devices: "rdma link add NAME type sodp
 * netdev DEV" makes a device, "rdma link delete" or the end of the netdev
 * takes it away.
 */
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <rdma/rdma_netlink.h>

#include "mem/mem.h"
#include "net/net.h"
#include "qp/qp.h"
#include "verbs/shapes.h"
#include "xport/rc/wire.h"
#include "xport/rx.h"
#include "xport/transports.h"

/* Guards the list */
static DEFINE_MUTEX(sodp_devs_mutex);
static LIST_HEAD(sodp_devs);

/**
 * sodp_devs_next() - the device of a namespace that follows one
 * @net: the namespace
 * @id: id of the one before, 0 for the first
 *
 * Context: the list is locked.
 * Return: the device, NULL at the end.
 */
struct sodp_dev *sodp_devs_next(struct net *net, u64 id)
{
	struct sodp_dev *dev;

	lockdep_assert_held(&sodp_devs_mutex);
	list_for_each_entry(dev, &sodp_devs, list)
		if (dev->id > id && dev->registered &&
		    net_eq(dev_net(dev->ndev), net))
			return dev;
	return NULL;
}

struct sodp_dev *sodp_devs_lock_next(struct net *net, u64 id)
{
	mutex_lock(&sodp_devs_mutex);
	return sodp_devs_next(net, id);
}

/**
 * sodp_devs_lock_find() - find a device by name and keep it from going away
 * @net: its namespace
 * @name: its name
 *
 * Context: process; the list is locked until sodp_devs_unlock(), whatever is
 * returned.
 * Return: the device or NULL.
 */
struct sodp_dev *sodp_devs_lock_find(struct net *net, const char *name)
{
	struct sodp_dev *dev = sodp_devs_lock_next(net, 0);

	while (dev && strcmp(dev_name(&dev->base_dev.dev), name))
		dev = sodp_devs_next(net, dev->id);
	return dev;
}

void sodp_devs_unlock(void)
{
	mutex_unlock(&sodp_devs_mutex);
}

static bool link_netdev_taken(struct net_device *ndev)
{
	struct sodp_dev *dev;

	lockdep_assert_held(&sodp_devs_mutex);
	list_for_each_entry(dev, &sodp_devs, list)
		if (dev->ndev == ndev)
			return true;
	return false;
}

/* Put the device on the list, unless its netdev has one */
static int link_publish(struct sodp_dev *dev)
{
	static u64 next_id;
	int ret = 0;

	mutex_lock(&sodp_devs_mutex);
	if (link_netdev_taken(dev->ndev)) {
		ret = -EEXIST;
	} else {
		dev->id = ++next_id;
		list_add_tail(&dev->list, &sodp_devs);
	}
	mutex_unlock(&sodp_devs_mutex);
	return ret;
}

/**
 * sodp_device_remove() - free what newlink made; ib_core frees the rest
 * @dev: a device that is no longer registered, or never was
 *
 * Context: process, may sleep.
 */
void sodp_device_remove(struct sodp_dev *dev)
{
	mutex_lock(&sodp_devs_mutex);
	if (!list_empty(&dev->list))
		list_del_init(&dev->list);
	mutex_unlock(&sodp_devs_mutex);
	sodp_net_put(dev);
	sodp_gids_settle();
	ib_unregister_event_handler(&dev->gid_events);
	sodp_gids_changed();
	WARN_ON(!xa_empty(&dev->avs));
	sodp_keys_destroy(dev);
	if (!IS_ERR_OR_NULL(dev->domain))
		odp_domain_destroy(dev->domain);
	WARN_ON_ONCE(!xa_empty(&dev->qp_counters));
	xa_destroy(&dev->qp_counters);
	free_percpu(dev->counters);
	dev_put(dev->ndev);
}

/* ib_core: events can come from now on; again after a change of namespace */
static int link_enable(struct ib_device *ibdev)
{
	struct sodp_dev *dev = to_sodp_dev(ibdev);

	/* Unless one was here first */
	cmpxchg(&dev->port_state, 0, sodp_port_state(dev));
	mutex_lock(&sodp_devs_mutex);
	/* Pairs with the acquire load in sodp_device_by_gid() */
	smp_store_release(&dev->registered, true);
	mutex_unlock(&sodp_devs_mutex);
	sodp_gids_changed();
	return 0;
}

/* ib_core: a GID came or went */
static void link_gid_event(struct ib_event_handler *handler,
			   struct ib_event *event)
{
	if (event->event == IB_EVENT_GID_CHANGE)
		sodp_gids_changed();
}

#ifdef HAVE_REPORT_PORT_EVENT
/*
 * Its presence keeps ib_core from reporting what link_netdev_event() does on
 * all kernels, and for ports of a bond too.
 */
static void link_report_port_event(struct ib_device *ibdev,
				   struct net_device *ndev,
				   unsigned long event)
{
}
#endif

static const struct ib_device_ops link_ops = {
	.enable_driver = link_enable,
#ifdef HAVE_REPORT_PORT_EVENT
	.report_port_event = link_report_port_event,
#endif
};

static struct sodp_dev *link_alloc(const char *name, struct net_device *ndev)
{
	struct sodp_dev *dev = sodp_compat_alloc_device(dev_net(ndev));

	if (!dev)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&dev->list);
	INIT_IB_EVENT_HANDLER(&dev->gid_events, &dev->base_dev,
			      link_gid_event);
	ib_register_event_handler(&dev->gid_events);
	xa_init_flags(&dev->avs, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_IRQ);
	dev_hold(ndev);
	dev->ndev = ndev;
	sodp_device_init(dev);
	ib_set_device_ops(&dev->base_dev, &link_ops);
	xa_init_flags(&dev->qp_counters, XA_FLAGS_ALLOC1);
	if (sodp_keys_init(dev))
		goto err_dealloc;
	dev->counters = alloc_percpu(struct sodp_counters);
	if (!dev->counters)
		goto err_dealloc;
	dev->domain = odp_domain_create(name, NULL);
	if (IS_ERR(dev->domain))
		goto err_dealloc;
	if (sodp_net_get(dev))
		goto err_dealloc;
	return dev;

err_dealloc:
	/* Ends in sodp_device_remove() by way of dealloc_driver */
	ib_dealloc_device(&dev->base_dev);
	return ERR_PTR(-ENOMEM);
}

/* rdma link add: RTNL is not held, the netdev is */
static int link_new(const char *name, struct net_device *ndev)
{
	struct sodp_dev *dev;
	int ret;

	if (ndev->type != ARPHRD_ETHER) {
		netdev_dbg(ndev, "sodp: not an Ethernet device\n");
		return -EINVAL;
	}
	/* ib_core gives the GIDs of a VLAN to the device of the netdev below */
	if (is_vlan_dev(ndev)) {
		netdev_dbg(ndev, "sodp: a VLAN; its parent's device serves it\n");
		return -EPERM;
	}
	dev = link_alloc(name, ndev);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	ret = link_publish(dev);
	if (ret) {
		netdev_dbg(ndev, "sodp: has a sodp device already\n");
		goto err_dealloc;
	}
	ret = ib_device_set_netdev(&dev->base_dev, ndev, 1);
	if (ret)
		goto err_dealloc;
	ret = ib_register_device(&dev->base_dev, name, NULL);
	if (ret)
		goto err_dealloc;
	/* It may be gone by now */
	return 0;

err_dealloc:
	ib_dealloc_device(&dev->base_dev);
	return ret;
}

static struct rdma_link_ops sodp_link_ops = {
	.type = "sodp",
	.newlink = link_new,
};

/* An event for each change of state, not for each of the netdev's; RTNL */
static void link_port_event(struct ib_device *ibdev)
{
	struct sodp_dev *dev = to_sodp_dev(ibdev);
	int state = sodp_port_state(dev);
	struct ib_event event = {
		.device = ibdev,
		.element.port_num = 1,
		.event = state == IB_PORT_ACTIVE ? IB_EVENT_PORT_ACTIVE :
						   IB_EVENT_PORT_ERR,
	};

	if (xchg(&dev->port_state, state) != state)
		ib_dispatch_event(&event);
}

static int link_netdev_event(struct notifier_block *nb, unsigned long event,
			     void *ptr)
{
	struct net_device *ndev = netdev_notifier_info_to_dev(ptr);
	struct ib_device *ibdev;

	ibdev = ib_device_get_by_netdev(ndev, SODP_RDMA_DRIVER);
	if (!ibdev)
		return NOTIFY_DONE;
	switch (event) {
	case NETDEV_UNREGISTER:
		ib_unregister_device_queued(ibdev);
		break;
	case NETDEV_UP:
	case NETDEV_CHANGE:
	case NETDEV_DOWN:
		link_port_event(ibdev);
		break;
	}
	ib_device_put(ibdev);
	return NOTIFY_DONE;
}

static struct notifier_block sodp_netdev_nb = {
	.notifier_call = link_netdev_event,
};

/* A peer is looked for on this host first */
static const struct sodp_transport *const main_transports[] = {
	&sodp_local_transport,
	&sodp_rc_transport,
	&sodp_ud_transport,
	NULL
};

static int __init sodp_init(void)
{
	int ret;

	ret = sodp_qps_init(main_transports);
	if (ret)
		return ret;
	ret = sodp_key_cache_init();
	if (ret)
		goto err_exit_qps;
	ret = sodp_wire_init();
	if (ret)
		goto err_exit_keys;
	ret = -ENOMEM;
	/* Block devices of kernel consumers make progress by it */
	sodp_wq = alloc_workqueue("sodp",
				  WQ_UNBOUND | WQ_MEM_RECLAIM | WQ_SYSFS, 0);
	if (!sodp_wq)
		goto err_exit_wire;
	ret = sodp_rescue_init();
	if (ret)
		goto err_destroy_wq;
	ret = sodp_icrc_init();
	if (ret)
		goto err_exit_rescue;
	ret = sodp_txpage_init();
	if (ret)
		goto err_exit_icrc;
	ret = sodp_way_init();
	if (ret)
		goto err_exit_txpage;
	ret = sodp_net_init(&sodp_receiver);
	if (ret)
		goto err_exit_way;
	ret = register_netdevice_notifier(&sodp_netdev_nb);
	if (ret)
		goto err_exit_net;
	ret = sodp_nl_register();
	if (ret)
		goto err_unregister_notifier;
	rdma_link_register(&sodp_link_ops);
	return 0;

err_unregister_notifier:
	unregister_netdevice_notifier(&sodp_netdev_nb);
err_exit_net:
	sodp_net_exit();
err_exit_way:
	sodp_way_exit();
err_exit_txpage:
	sodp_txpage_exit();
err_exit_icrc:
	sodp_icrc_exit();
err_exit_rescue:
	sodp_rescue_exit();
err_destroy_wq:
	destroy_workqueue(sodp_wq);
err_exit_wire:
	sodp_wire_exit();
err_exit_keys:
	sodp_key_cache_exit();
err_exit_qps:
	sodp_qps_exit();
	return ret;
}

static void __exit sodp_exit(void)
{
	rdma_link_unregister(&sodp_link_ops);
	sodp_nl_unregister();
	unregister_netdevice_notifier(&sodp_netdev_nb);
	ib_unregister_driver(SODP_RDMA_DRIVER);
	sodp_net_exit();
	/*
	 * Faults under way and packets on their way out hold references on
	 * QPs that are dead by now, and what lets go of them queues work.
	 */
	sodp_qps_wait();
	/* A worker that let go of the last may still be on its way out */
	odp_spaces_wait();
	sodp_rescue_exit();
	destroy_workqueue(sodp_wq);
	/* QPs and keys are freed by RCU */
	rcu_barrier();
	sodp_way_exit();
	sodp_wire_exit();
	sodp_key_cache_exit();
	sodp_qps_exit();
	sodp_txpage_exit();
	sodp_icrc_exit();
}

module_init(sodp_init);
module_exit(sodp_exit);

MODULE_DESCRIPTION("Software RDMA device with on-demand paging");
MODULE_LICENSE("Dual BSD/GPL");
MODULE_VERSION(SODP_VERSION);
MODULE_ALIAS_RDMA_LINK("sodp");
