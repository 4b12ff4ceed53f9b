# Builds every test that t/unit/units.mk names into $(BUILD)/unit/.
# How to add one stands in that file.

-include t/unit/units.mk

UNIT_SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=all

UNIT_CFLAGS = -g -O1 -Wall -Wextra -Werror -Wno-unused-parameter \
    -DNGX_STOMP_TEST_HOOKS=1 $(UNIT_SANITIZE)

units := $(sort $(patsubst UNIT_%,%,$(filter UNIT_%,$(filter-out \
    UNIT_CFLAGS UNIT_SANITIZE UNIT_CFLAGS_% UNIT_LIBS_%,$(.VARIABLES)))))

unit_binaries := $(units:%=$(BUILD)/unit/%_test)
unit_headers := $(wildcard ngx_stomp_module/*/*.h t/unit/*.h)

# "proto/a.c" is a source of the module, "a.c" one of t/unit.
unit_path = $(foreach f,$1,\
    $(if $(findstring /,$f),ngx_stomp_module/$f,t/unit/$f))

# A test sees the headers of its own layers and of those below, no others.
unit_layers = $(sort \
    $(if $(filter proto/%,$1),proto) \
    $(if $(filter broker/%,$1),broker) \
    $(if $(filter session/%,$1),session broker proto) \
    $(if $(filter http/% conf/%,$1),conf http session broker proto))

.PHONY: unit-binaries
unit-binaries: $(unit_binaries) $(BUILD)/unit/lock_guard.so

# What t/lock_discipline.t preloads into nginx; the functions that it stands
# around are found when they are called first.
guard_sources := $(addprefix t/unit/,lock_guard.c lock_guard_rules.c \
    lock_guard_preload.c)

$(BUILD)/unit/lock_guard.so: $(guard_sources) $(unit_headers) \
        t/unit/rules.mk $(BUILD)/nginx.mk
	@mkdir -p $(@D)
	@echo "  GUARD lock_guard.so"
	@$(CC) -g -O1 -Wall -Wextra -Werror -Wno-unused-parameter -shared -fPIC \
	    -Wl,-z,lazy -It/unit -Ingx_stomp_module/broker \
	    $(NGINX_INCS:%=-isystem %) -o $@ $(guard_sources) -ldl

define unit_rule
$(BUILD)/unit/$1_test: t/unit/$1_test.c $(call unit_path,$(UNIT_$1)) \
        $(unit_headers) t/unit/units.mk t/unit/rules.mk $(BUILD)/nginx.mk
	@mkdir -p $$(@D)
	@echo "  UNIT  $1_test"
	@$$(CC) $$(UNIT_CFLAGS) $$(UNIT_CFLAGS_$1) -It/unit \
	    $(patsubst %,-Ingx_stomp_module/%,$(call unit_layers,$(UNIT_$1))) \
	    $$(NGINX_INCS:%=-isystem %) -o $$@ \
	    t/unit/$1_test.c $(call unit_path,$(UNIT_$1)) \
	    -lcmocka $$(UNIT_LIBS_$1)
endef

$(foreach u,$(units),$(eval $(call unit_rule,$u)))
