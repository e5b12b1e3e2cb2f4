FROM corpus/ruby
RUN mkdir -p /usr/src/app
WORKDIR /usr/src/app
COPY ruby/Gemfile ruby/Gemfile.lock ./
RUN bundle config --global frozen 1 && bundle install
COPY ruby .
CMD ["cat", "app.rb", "/usr/local/bundle/installed"]
#> prints hello from ruby
#> prints source 'local'
#> prints gem 'rack'
