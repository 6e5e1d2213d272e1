//! The ways to discover targets that are known by name only: their sections are accepted unseen and
//! not acted on.

/// Defines a section that may hold any of them beside what it says itself: `$define` is called with
/// its definition, followed by the list.
macro_rules! with_unused_discovery {
    ($define:ident! { $($definition:tt)* }) => {
        $define! {
            $($definition)*
            unused {
                aws_sd_configs,
                azure_sd_configs,
                consul_sd_configs,
                digitalocean_sd_configs,
                docker_sd_configs,
                dockerswarm_sd_configs,
                ec2_sd_configs,
                ecs_sd_configs,
                eureka_sd_configs,
                gce_sd_configs,
                hetzner_sd_configs,
                ionos_sd_configs,
                kubernetes_sd_configs,
                kuma_sd_configs,
                lightsail_sd_configs,
                linode_sd_configs,
                marathon_sd_configs,
                nerve_sd_configs,
                nomad_sd_configs,
                openstack_sd_configs,
                ovhcloud_sd_configs,
                puppetdb_sd_configs,
                scaleway_sd_configs,
                serverset_sd_configs,
                stackit_sd_configs,
                triton_sd_configs,
                uyuni_sd_configs,
                vultr_sd_configs,
            }
        }
    };
}

pub(super) use with_unused_discovery;
