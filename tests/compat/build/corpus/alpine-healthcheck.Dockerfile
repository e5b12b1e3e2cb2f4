FROM corpus/alpine
HEALTHCHECK --interval=5m --timeout=3s --start-period=10s --retries=2 \
  CMD wget -q -O- http://localhost/ || exit 1
CMD ["true"]
#> config Healthcheck {"Test": ["CMD-SHELL", "wget -q -O- http://localhost/ || exit 1"], "Interval": 300000000000, "Timeout": 3000000000, "StartPeriod": 10000000000, "Retries": 2}
