"""Step3-VL as a Nexus teacher."""
